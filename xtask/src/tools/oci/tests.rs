use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use fs_err as fs;
use gitops::admit::{ImageCheck, Signature};
use gitops::image_reference::ImageReference;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::*;

/// A layout in a folder of its own, beside files to make images of.
struct Fixture {
    folder: TempDir,
    layout: Layout,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(&folder.path().join("images")).unwrap();
        fs::create_dir(folder.path().join("files")).unwrap();
        Self { folder, layout }
    }

    fn image(&self, content: &str) -> Image {
        let file = self.folder.path().join("files").join(Digest::of(content.as_bytes()).hex());
        fs::write(&file, content).unwrap();
        let layer = |path: &str, executable| {
            Layer(BTreeMap::from([(path.to_owned(), File { from: file.clone(), executable })]))
        };
        let settings = Settings {
            env: vec!["A=1=2".to_owned()],
            entrypoint: vec!["/bin/program".to_owned()],
            ..Settings::default()
        };
        Image { layers: vec![layer("lib/shared", false), layer("bin/program", true)], settings }
    }

    fn add(&self, tag: &str, content: &str) -> ImageReference {
        let digest = self.layout.add("api", tag, &self.image(content)).unwrap();
        ImageReference::new("api", tag, digest).unwrap()
    }

    fn unpack(&self, image: &ImageReference) -> anyhow::Result<Unpacked> {
        self.layout.unpack(image.digest(), &self.folder.path().join("roots"))
    }

    fn blob(&self, digest: Digest) -> std::path::PathBuf {
        self.folder.path().join("images/blobs/sha256").join(digest.hex())
    }

    fn layers(&self, image: &ImageReference) -> Vec<Digest> {
        let manifest = manifest(&self.layout, image.digest()).unwrap();
        manifest.layers.iter().map(|layer| layer.digest).collect()
    }

    /// Puts bytes in as a layer, as some other tool would have.
    fn foreign(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let digest = Digest::of(bytes);
        fs::write(self.blob(digest), bytes).unwrap();
        let layer = Descriptor::new(
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            digest,
            bytes.len() as u64,
        );
        let into = self.folder.path().join("foreign");
        if into.exists() {
            fs::remove_dir_all(&into).unwrap();
        }
        fs::create_dir(&into).unwrap();
        unpack(&self.layout, &layer, &into)
    }
}

#[test]
fn an_image_comes_back_as_it_was_put_in() {
    let fixture = Fixture::new();
    let image = fixture.add("1", "hello");
    assert_eq!(fixture.layout.resolve("api", "1").unwrap(), Some(image.digest()));
    assert_eq!(fixture.layout.resolve("api", "2").unwrap(), None);
    assert_eq!(fixture.layout.check(&image), ImageCheck::Present(Signature::NotRequired));
    let Unpacked { root, env, entrypoint, cmd } = fixture.unpack(&image).unwrap();
    assert_eq!(fs::read_to_string(root.join("lib/shared")).unwrap(), "hello");
    assert_eq!(env, [("A".to_owned(), "1=2".to_owned())]);
    assert_eq!((entrypoint, cmd), (vec!["/bin/program".to_owned()], Vec::new()));
    let mode = |file: &str| fs::metadata(root.join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("bin/program"), mode("lib/shared") & 0o111), (0o555, 0));
}

#[test]
fn the_same_files_are_the_same_image_and_a_tag_may_move() {
    let (one, other) = (Fixture::new(), Fixture::new());
    let first = one.add("1", "hello");
    assert_eq!(other.add("1", "hello"), first);
    assert_eq!(one.add("1", "hello"), first);
    let second = one.add("1", "bye");
    assert_ne!(second.digest(), first.digest());
    assert_eq!(one.layout.resolve("api", "1").unwrap(), Some(second.digest()));
    assert_eq!(one.layout.check(&first), ImageCheck::Present(Signature::NotRequired));
}

#[test]
fn two_roots_share_what_they_have_in_common() {
    let fixture = Fixture::new();
    let [one, mut other] = [fixture.image("hello"), fixture.image("hello")];
    other.settings.cmd = vec!["serve".to_owned()];
    let inode = |image: &Image, tag: &str| {
        let digest = fixture.layout.add("api", tag, image).unwrap();
        let reference = ImageReference::new("api", tag, digest).unwrap();
        let root = fixture.unpack(&reference).unwrap().root;
        (root.clone(), fs::metadata(root.join("lib/shared")).unwrap().ino())
    };
    let (one, other) = (inode(&one, "1"), inode(&other, "2"));
    assert_ne!(one.0, other.0);
    assert_eq!(one.1, other.1);
}

#[test]
fn what_is_not_whole_is_no_image() {
    let damages: [fn(&Fixture, &ImageReference); 4] = [
        |fixture, image| fs::remove_file(fixture.blob(fixture.layers(image)[1])).unwrap(),
        |fixture, image| fs::write(fixture.blob(fixture.layers(image)[0]), "short").unwrap(),
        |fixture, image| fs::remove_file(fixture.blob(image.digest())).unwrap(),
        |fixture, image| fs::write(fixture.blob(image.digest()), "{}").unwrap(),
    ];
    for damage in damages {
        let fixture = Fixture::new();
        let image = fixture.add("1", "hello");
        damage(&fixture, &image);
        assert_eq!(fixture.layout.check(&image), ImageCheck::Missing);
        assert!(fixture.unpack(&image).is_err());
        // And what is put in again is there again.
        assert_eq!(
            fixture.layout.check(&fixture.add("1", "hello")),
            ImageCheck::Present(Signature::NotRequired)
        );
    }
}

#[test]
fn nothing_is_unpacked_from_a_layer_that_was_changed() {
    let fixture = Fixture::new();
    let image = fixture.add("1", "hello");
    let layer = fixture.blob(fixture.layers(&image)[0]);
    let changed = String::from_utf8(fs::read(&layer).unwrap()).unwrap().replace("hello", "jello");
    fs::write(&layer, changed).unwrap();
    let error = format!("{:#}", fixture.unpack(&image).err().unwrap());
    assert!(error.contains("is something else"), "{error}");
    let left: Vec<_> = fs::read_dir(fixture.folder.path().join("roots"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_index_that_cannot_be_read_is_said_and_not_replaced() {
    let fixture = Fixture::new();
    fixture.add("1", "hello");
    let index = fixture.folder.path().join("images/index.json");
    fs::write(&index, "{").unwrap();
    assert!(fixture.layout.resolve("api", "1").is_err());
    assert!(fixture.layout.add("api", "2", &fixture.image("bye")).is_err());
    assert_eq!(fs::read_to_string(&index).unwrap(), "{");
}

#[test]
fn writers_at_once_lose_no_name() {
    let fixture = Fixture::new();
    let names: Vec<String> = (0..8).map(|n| n.to_string()).collect();
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(|| fixture.add(name, name));
        }
    });
    for name in &names {
        assert!(fixture.layout.resolve("api", name).unwrap().is_some(), "{name}");
    }
}

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header
}

/// An archive of one entry whose name no well-behaved writer accepts.
fn archive(name: &str, kind: EntryType) -> Vec<u8> {
    let mut header = header(kind, 4);
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    if kind != EntryType::Regular {
        header.set_size(0);
        header.set_link_name_literal("/etc/passwd").unwrap();
    }
    header.set_cksum();
    let mut archive = Builder::new(Vec::new());
    let content = if kind == EntryType::Regular { &b"evil"[..] } else { b"" };
    archive.append(&header, content).unwrap();
    archive.into_inner().unwrap()
}

#[test]
fn a_layer_reaches_nothing_outside_of_its_folder() {
    let fixture = Fixture::new();
    for (name, kind, word) in [
        ("../evil", EntryType::Regular, "leads elsewhere"),
        ("/evil", EntryType::Regular, "leads elsewhere"),
        ("./../evil", EntryType::Regular, "leads elsewhere"),
        ("a/../../evil", EntryType::Regular, "leads elsewhere"),
        ("link", EntryType::Symlink, "neither file nor folder"),
        ("link", EntryType::Link, "neither file nor folder"),
        ("device", EntryType::Char, "neither file nor folder"),
        ("a/.wh.shared", EntryType::Regular, "removes files"),
    ] {
        let error = format!("{:#}", fixture.foreign(&archive(name, kind)).unwrap_err());
        assert!(error.contains(word), "{name}: {error}");
    }
    let outside = fixture.folder.path();
    assert!(!outside.join("evil").exists() && !Path::new("/evil").exists());
}

#[test]
fn layers_that_an_engine_compressed_are_read() {
    let fixture = Fixture::new();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&archive("models/file", EntryType::Regular)).unwrap();
    let whole = gzip.finish().unwrap();
    fixture.foreign(&whole).unwrap();
    let file = fixture.folder.path().join("foreign/models/file");
    assert_eq!(fs::read_to_string(file).unwrap(), "evil");
    assert!(fixture.foreign(&whole[..whole.len() - 9]).is_err(), "cut off");
}

#[test]
fn an_index_of_platforms_leads_to_the_image_of_this_one() {
    let fixture = Fixture::new();
    let image = fixture.add("1", "hello");
    let size = fs::metadata(fixture.blob(image.digest())).unwrap().len();
    let entry = |architecture: &str, digest| {
        let platform = Platform { architecture: architecture.to_owned(), os: "linux".to_owned() };
        Descriptor { platform: Some(platform), ..Descriptor::new(MANIFEST, digest, size) }
    };
    let put = |manifests| {
        let json = serde_json::to_vec(&Index { schema_version: 2, manifests }).unwrap();
        fs::write(fixture.blob(Digest::of(&json)), &json).unwrap();
        Digest::of(&json)
    };
    let here = Platform::here().architecture;
    let both = put(vec![entry("pdp11", Digest::of(b"none")), entry(&here, image.digest())]);
    assert_eq!(manifest(&fixture.layout, both).unwrap().layers.len(), 2);
    let neither = put(vec![entry("pdp11", image.digest())]);
    let error = manifest(&fixture.layout, neither).unwrap_err().to_string();
    assert!(error.contains("no image for linux"), "{error}");
}
