//! The page at `/` as people use it: with a mouse, with keys alone, with a photo, on a phone, in the dark.

use contract::artifact::Artifact;
use e2e::browser::{Browser, Screen};
use e2e::data;
use e2e::model::{quick, train};
use e2e::process::{command, run};
use e2e::repo;
use e2e::server::Server;
use serde_json::json;

const BOARD: &str = "#board";
const NAME: &str = "#name";
/// One stroke, as shares of the board.
const THREE: [(f64, f64); 13] = [
    (0.32, 0.26),
    (0.40, 0.19),
    (0.52, 0.17),
    (0.62, 0.23),
    (0.63, 0.34),
    (0.56, 0.43),
    (0.45, 0.47),
    (0.58, 0.51),
    (0.66, 0.60),
    (0.65, 0.73),
    (0.55, 0.82),
    (0.42, 0.83),
    (0.32, 0.76),
];

fn open(artifact: &Artifact, args: &[&str]) -> (Server, Browser) {
    let server = Server::start(artifact.path(), args);
    let browser = Browser::open(&server.url("/"));
    browser.find("#classes li");
    (server, browser)
}

/// Nothing failed on the way, and nothing that the policy forbids was tried.
fn is_content(browser: &Browser) {
    assert_eq!(browser.console_errors(), Vec::<String>::new());
    assert_eq!(browser.text("#notice"), "");
}

#[test]
fn what_is_drawn_is_recognised_and_a_correction_is_counted() {
    let artifact = quick();
    let classes = &artifact.manifest().task.classes;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs_err::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    let (server, browser) = open(&artifact, &["--feedback-key-file", key.to_str().unwrap()]);
    assert_eq!(browser.text("#title"), artifact.manifest().title());

    browser.draw(BOARD, &THREE);
    browser.wait_for_text(NAME, &classes[3]);
    assert!(browser.text("#confidence").ends_with(" % sure"));
    assert_eq!(browser.text("#version"), artifact.manifest().model_version.as_str());
    for time in ["#latency", "#trip"] {
        assert!(browser.text(time).ends_with(" ms"), "{time}");
    }
    assert_eq!(browser.text("#classes .likeliest .name"), classes[3]);
    browser.click("#numbers");
    let rows = browser.text("#values");
    let input = artifact.manifest().task.input;
    assert_eq!(rows.lines().count(), input.height, "{rows}");
    assert!(rows.lines().all(|row| row.split_whitespace().count() == input.width), "{rows}");
    assert!(rows.contains("255") && rows.contains('·'), "{rows}");
    browser.click("#close");

    browser.click("#truths button:nth-of-type(8)");
    browser.wait_for_text("#thanks", &format!("Thank you: {}, not {}.", classes[7], classes[3]));
    let metrics = String::from_utf8(server.get("/metrics").unwrap().body).unwrap();
    let counted = format!("prediction_feedback_total{{class=\"{}\",correct=\"false\"", classes[3]);
    let line = metrics.lines().find(|line| line.starts_with(&counted)).unwrap();
    assert!(line.ends_with(" 1"), "{line}");

    browser.click("#undo");
    browser.wait_for_text(NAME, "?");
    is_content(&browser);
}

#[test]
fn where_a_key_is_needed_the_page_asks_for_it_and_keeps_it_to_its_tab() {
    let (artifact, folder) = (quick(), tempfile::tempdir().unwrap());
    let mut program = command(repo::release_binary("mnist-api"), &repo::root());
    let made = run(program.args(["key", "page", "--scopes", "predict"])).success().stdout;
    let (key, line) = made.trim_end().split_once('\n').unwrap();
    let file = folder.path().join("keys");
    fs_err::write(&file, line).unwrap();
    let server = Server::start(artifact.path(), &["--api-keys-file", file.to_str().unwrap()]);
    let browser = Browser::open(&server.url("/"));
    browser.wait_for_text(
        "#notice",
        "a key or a token is needed: `Authorization: Bearer …` or `X-API-Key: …`",
    );
    for (given, told) in [("ak_wrong", "this key is not known here"), (key, "")] {
        browser.find("#access:not([hidden])");
        browser.keys(&format!("{given}\u{E007}"));
        browser.wait_for_text("#notice", told);
    }
    browser.draw(BOARD, &THREE);
    browser.wait_for_text(NAME, &artifact.manifest().task.classes[3]);
    let kept = "return [document.cookie, localStorage.length, location.href.includes('ak_')]";
    assert_eq!(browser.script(kept), json!(["", 0, false]));
}

#[test]
fn a_keyboard_is_enough() {
    let artifact = quick();
    let classes = &artifact.manifest().task.classes;
    let (_server, browser) = open(&artifact, &[]);
    while browser.script("return document.activeElement.id") != "board" {
        browser.keys("\u{E004}");
    }
    let (up, down, left) = ("\u{E013}", "\u{E015}", "\u{E012}");
    browser.keys(&format!("{} {} ", up.repeat(9), down.repeat(18)));
    browser.wait_for_text(NAME, &classes[1]);
    // The lifted pen leaves nothing behind.
    browser.keys(&left.repeat(9));
    assert_eq!(browser.text(NAME), classes[1]);
    browser.keys("\u{E017}");
    browser.wait_for_text(NAME, "?");
    assert_eq!(browser.text("#feedback"), "", "without receipts nobody is asked");
    is_content(&browser);
}

/// As a camera stores it: large, and of a kind that the service itself does not read.
fn photo(image: &contract::image::Image) -> Vec<u8> {
    const ZOOM: usize = 8;
    let side = image.shape().width;
    let mut bytes = b"BM".to_vec();
    let pixels = 3 * (ZOOM * side).pow(2);
    for number in [54 + pixels, 0, 54, 40, ZOOM * side, ZOOM * side] {
        bytes.extend(u32::try_from(number).unwrap().to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0; 24]);
    for y in (0..ZOOM * side).rev() {
        for x in 0..ZOOM * side {
            // Ink on paper that is not quite white.
            let ink = image.pixels()[y / ZOOM * side + x / ZOOM];
            bytes.extend([210 - ink / 2; 3]);
        }
    }
    bytes
}

#[test]
fn a_photo_is_brought_to_what_the_service_reads() {
    let artifact = quick();
    let (_server, browser) = open(&artifact, &[]);
    let folder = tempfile::tempdir().unwrap();
    let (label, image) = data::probes().0.swap_remove(0);
    let file = folder.path().join("photo.bmp");
    fs_err::write(&file, photo(&image)).unwrap();
    browser.upload("#file", &file);
    browser.wait_for_text(NAME, &artifact.manifest().task.classes[label]);
    is_content(&browser);

    fs_err::write(&file, "no picture").unwrap();
    browser.upload("#file", &file);
    browser.wait_for_text("#notice", "This browser does not read that file as a picture.");
    browser.draw(BOARD, &THREE);
    browser.wait_for_text(NAME, &artifact.manifest().task.classes[3]);
    browser.wait_for_text("#notice", "");
}

/// Texts that stand out from their ground less than WCAG 2.2 AA asks for (1.4.3).
const FAINT: &str = "
    const light = (colour) => colour.match(/[\\d.]+/g).slice(0, 3)
        .map((part) => part / 255)
        .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (element) => {
        const colour = getComputedStyle(element).backgroundColor;
        return colour === 'rgba(0, 0, 0, 0)' ? ground(element.parentElement) : colour;
    };
    const hasText = (element) => [...element.childNodes]
        .some((node) => node.nodeType === 3 && node.textContent.trim());
    return [...document.body.querySelectorAll('*')]
        .filter((element) => element.checkVisibility() && hasText(element))
        .filter((element) => !element.matches(':disabled, :disabled *'))
        .map((element) => {
            const { color, fontSize } = getComputedStyle(element);
            const [one, other] = [light(color), light(ground(element))].sort((a, b) => b - a);
            const least = parseFloat(fontSize) >= 24 ? 3 : 4.5;
            return [element.textContent.trim(), (one + 0.05) / (other + 0.05), least];
        })
        .filter(([, contrast, least]) => contrast < least);";

#[test]
fn it_fits_a_phone_and_is_readable_in_any_light() {
    let artifact = quick();
    let (_server, browser) = open(&artifact, &[]);
    let phone = Screen { width: 360, height: 740, touch: true };
    let desk = Screen { width: 1280, height: 800, touch: false };
    browser.draw(BOARD, &THREE);
    for screen in [phone, desk] {
        for scheme in ["light", "dark"] {
            browser.emulate(screen, scheme);
            let width = browser.script("return document.documentElement.scrollWidth");
            assert!(width.as_u64() <= Some(screen.width.into()), "scrolls sideways: {width}");
            assert_eq!(browser.script(FAINT), json!([]), "{scheme}");
            let small = browser.script(
                "return [...document.querySelectorAll('button, a')].filter(e => e.checkVisibility())\
                 .map(e => [e.textContent, e.getBoundingClientRect().height])\
                 .filter(([, height]) => height < 24);",
            );
            assert_eq!(small, json!([]), "too small to be hit");
        }
    }
    let height = browser.script("return document.documentElement.scrollHeight");
    assert!(height.as_u64() <= Some(800), "one screen: {height}");
}

#[test]
fn it_is_of_whatever_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let task = data::toy();
    let args = ["--task", task.to_str().unwrap(), "--recipe", "quick"];
    let artifact = Artifact::open(&train(&folder.path().join("artifact"), &args)).unwrap();
    let (_server, browser) = open(&artifact, &[]);
    let classes = &artifact.manifest().task.classes;
    let bars = browser.script("return document.querySelectorAll('#classes li').length");
    assert_eq!(bars, classes.len());
    browser.find("#colour");
    browser.draw(BOARD, &THREE);
    browser.find("#classes .likeliest");
    assert!(classes.contains(&browser.text(NAME)), "{}", browser.text(NAME));
    is_content(&browser);
}
