//! `MODEL_CARD.md`: the manifest told to a human (Mitchell et al., "Model cards for model reporting",
//! 2019). Nothing in it that the manifest does not hold.

use std::fmt::Write as _;

use contract::artifact::{EVALUATION, METRICS, MODEL, ROBUSTNESS, WEIGHTS};
use contract::manifest::{CompressionRecord, DataRecord, Manifest};

pub fn card(manifest: &Manifest) -> String {
    let Manifest { task, data, training, metrics, .. } = manifest;
    let mut card = String::new();
    let mut line = |text: String| {
        card.push_str(&text);
        card.push('\n');
    };
    line(format!("# {} · {}\n", manifest.title(), manifest.model_version));
    line(format!(
        "Classifies {} images into {} classes: {}.\n",
        task.input,
        task.classes.len(),
        task.classes.join(", ")
    ));
    if data.is_synthetic() {
        line(format!(
            "> **Trained and tested on generated pictures (`{}`), not on real ones.** The figures below \
             say how well it knows the generator's pictures, not how well it will do on yours.\n",
            data.name
        ));
    }
    line("| | |\n|---|---|".to_owned());
    line(format!("| test accuracy | {} |", percent(metrics.accuracy)));
    line(format!("| mistakes | {} of {} |", metrics.misclassified.len(), data.test));
    line(format!("| validation accuracy | {} |", percent(metrics.validation_accuracy)));
    line(format!("| loss (mean negative log-likelihood) | {:.4} |", metrics.loss));
    line(format!("| expected calibration error | {} |", percent(metrics.calibration_error)));
    line(format!("| parameters | {} |", training.parameters));
    if let Some(compression) = &manifest.compression {
        line(format!("| compressed from | {} |", compressed_from(compression)));
    }
    for latency in &manifest.latency {
        line(format!(
            "| forward, one thread, batch {} | {:.0} µs per image |",
            latency.batch, latency.microseconds_per_image
        ));
    }
    line(trained_on(data));
    line(
        "\n## By class\n\n| class | images | precision | recall |\n|---|---:|---:|---:|".to_owned(),
    );
    for class in &metrics.per_class {
        line(format!(
            "| {} | {} | {} | {} |",
            cell(&class.name),
            class.support,
            percent(class.precision),
            percent(class.recall)
        ));
    }
    line(
        "\n![Confusion](confusion.svg)\n\n![Reliability](reliability.svg)\n\n![Mistakes](mistakes.svg)"
            .to_owned(),
    );
    line(format!(
        "\n## Training\n\nRecipe `{}`, {} epochs in {:.1} s on {} with {} threads, seed {}. Finished {}.",
        training.recipe,
        training.epochs,
        training.seconds,
        training.device,
        training.threads,
        training.seed,
        training.finished_at
    ));
    line(format!("{}, libtorch {}.", revision(manifest), manifest.libtorch));
    line("\n![Learning curves](learning-curves.svg)".to_owned());
    line(format!(
        "\n## Use\n\n`{MODEL}` is TorchScript: bytes in, probabilities out; normalisation and softmax are \
         inside.\n\n```python\nimport torch\n\nmodel = torch.jit.load(\"{MODEL}\")\n\
         images = torch.zeros(1, {}, {}, {}, dtype=torch.uint8)  # [N, height, width, channels], 0 to 255\n\
         probabilities = model(images)  # [N, {}]\n```\n",
        task.input.height,
        task.input.width,
        task.input.channels,
        task.classes.len()
    ));
    line(format!(
        "`{WEIGHTS}` holds the trained variables by name, before batch norm was folded; `{EVALUATION}` the \
         answer to every test image; `{ROBUSTNESS}` those to perturbed ones; `{METRICS}` one line per epoch; `manifest.json` all of this page and \
         the digest of each file."
    ));
    line("\n## Limits\n".to_owned());
    line(format!(
        "- It always names one of its {} classes. A picture of anything else gets one of them too, \
         possibly with high confidence.",
        task.classes.len()
    ));
    line(format!(
        "- Pictures that were made otherwise than those of `{}` may be classified worse. The manifest's \
         `baseline` says what its inputs looked like; compare live traffic with it.",
        data.name
    ));
    card
}

fn trained_on(data: &DataRecord) -> String {
    let mut text = format!(
        "\n## Data\n\n`{}`, digest `{}`.\n{} images were trained on, {} chosen by class out of the training images \
         validated, {} tested. The test images were read once, after training.",
        data.name, data.digest, data.train, data.validation, data.test
    );
    if data.added > 0 {
        write!(
            text,
            "\n\n{} of those trained on were shown to a service and labelled by its callers; none validates or tests.",
            data.added
        )
        .expect("writing to a String cannot fail");
    }
    text
}

fn compressed_from(compression: &CompressionRecord) -> String {
    let CompressionRecord { parent, pruned, int8 } = compression;
    let pruned = (*pruned > 0.0)
        .then(|| format!(", {:.0} % of each block's channels removed", 100.0 * pruned));
    let int8 =
        if *int8 { ", weights as 8-bit integers with a scale per output channel" } else { "" };
    format!("`{parent}`{}{int8}", pruned.unwrap_or_default())
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// A class may be named `a|b`.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn revision(manifest: &Manifest) -> String {
    let mut text = match &manifest.source.git_revision {
        Some(revision) => format!("Git revision `{revision}`"),
        None => "No Git revision".to_owned(),
    };
    if manifest.source.dirty {
        write!(text, " with uncommitted changes").expect("writing to a String cannot fail");
    }
    text
}
