//! What `.dvc/config` says, `.dvc/config.local` over it, in the dialect of INI that DVC writes.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::bail;

use super::hinted;

/// Values by section, such as `core` or `remote "store"`, and key.
#[derive(Debug, Default)]
pub(super) struct Config(BTreeMap<String, BTreeMap<String, String>>);

impl Config {
    /// Of the folder `.dvc`.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut config = Self::default();
        for name in ["config", "config.local"] {
            let file = folder.join(name);
            match fs_err::read_to_string(&file) {
                Ok(text) => config.merge(&text, &file)?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(config)
    }

    fn merge(&mut self, text: &str, file: &Path) -> anyhow::Result<()> {
        let mut section = String::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                unquoted(name).clone_into(&mut section);
            } else if let Some((key, value)) = line.split_once('=') {
                let values = self.0.entry(section.clone()).or_default();
                values.insert(key.trim().to_owned(), value_of(value).to_owned());
            } else {
                bail!("line {} of `{}` is neither section nor setting", number + 1, file.display());
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.0.get(section)?.get(key).map(String::as_str)
    }

    /// Settings of the remote `name`, or else of the default one.
    pub(super) fn remote(&self, name: Option<&str>) -> anyhow::Result<Settings<'_>> {
        let Some(name) = name.or_else(|| self.get("core", "remote")) else {
            return Err(hinted(
                "no remote is named",
                "name one by `--remote NAME`, or for everybody in .dvc/config:\n\
                 [core]\n    remote = store\n['remote \"store\"']\n    url = s3://BUCKET/PREFIX",
            ));
        };
        let Some(values) = self.0.get(&format!("remote \"{name}\"")) else {
            return Err(hinted(
                format_args!("there is no remote `{name}`"),
                format_args!(
                    "describe it in .dvc/config: ['remote \"{name}\"'] and below it url = PLACE"
                ),
            ));
        };
        Ok(Settings { name: name.to_owned(), values })
    }
}

/// Of one remote.
#[derive(Debug)]
pub(super) struct Settings<'a> {
    pub(super) name: String,
    pub(super) values: &'a BTreeMap<String, String>,
}

impl<'a> Settings<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.values.get(key).map(String::as_str)
    }

    pub(super) fn is_on(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

/// Up to a comment, unless it is quoted.
fn value_of(text: &str) -> &str {
    let text = text.trim();
    if text.starts_with(['"', '\'']) {
        return unquoted(text);
    }
    text.split_once(" #").map_or(text, |(value, _comment)| value.trim_end())
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    ['\'', '"']
        .iter()
        .find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_dvc_writes_them_and_the_local_ones_win() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs_err::write(folder.path().join(name), text).unwrap();
        write(
            "config",
            "# ours\n[core]\n    remote = store\n['remote \"store\"']\n    url = \"s3://a/b#c\" \n    region=eu # near\n",
        );
        write("config.local", "[ 'remote \"store\"' ]\nregion = 'us'\n");
        let config = Config::read(folder.path()).unwrap();
        let remote = config.remote(None).unwrap();
        assert_eq!((remote.name.as_str(), remote.get("url")), ("store", Some("s3://a/b#c")));
        assert_eq!(remote.get("region"), Some("us"));
        let error = config.remote(Some("other")).unwrap_err().to_string();
        assert!(error.contains("`other`") && error.contains("hint: "), "{error}");
        write("config", "[core\n");
        assert!(Config::read(folder.path()).unwrap_err().to_string().contains("line 1"));
    }
}
