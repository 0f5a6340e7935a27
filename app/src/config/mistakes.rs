//! [`Mistakes`]: all that is wrong with a configuration, told together.

use std::fmt;

/// Every mistake, one per line.
#[derive(Debug, Default)]
pub struct Mistakes(Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used")?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))?;
        f.write_str("\n\nhint: `mnist-api serve --help` lists every flag with its variable")
    }
}

impl Mistakes {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, mistake: String) {
        self.0.push(mistake);
    }

    pub(super) fn check<T>(
        &mut self,
        flag: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(text) {
            Ok(value) => Some(value),
            Err(mistake) => {
                let variable = match flag {
                    "revision" => "APP_REVISION".to_owned(),
                    flag => flag.to_uppercase().replace('-', "_"),
                };
                self.add(format!("--{flag} ({variable}): {mistake}"));
                None
            }
        }
    }

    /// Of a flag that may be left out: none where it is. A mistake is none too, and no configuration comes of it.
    /// Set to nothing is a mistake: a variable that somebody forgot to fill must not open the service to all.
    pub(super) fn check_set<T>(
        &mut self,
        flag: &str,
        text: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match text? {
            "" => self.check(flag, "", |_| {
                Err("set to nothing; leave it out to switch it off".to_owned())
            }),
            text => self.check(flag, text, parse),
        }
    }
}
