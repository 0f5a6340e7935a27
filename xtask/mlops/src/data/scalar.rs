//! Text in a pointer, plain or quoted as DVC's YAML writer has it.

/// Names with control characters cannot be told in one line.
pub(super) fn scalar(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err(format!("the name {text:?} has control characters"));
    }
    Ok(match text {
        _ if is_plain(text) => text.to_owned(),
        _ if text.contains('\'') => {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
        _ => format!("'{text}'"),
    })
}

fn is_plain(text: &str) -> bool {
    let mut characters = text.chars();
    let (Some(first), second) = (characters.next(), characters.next()) else {
        return false;
    };
    let begins = match first {
        '-' | '?' | ':' => second.is_some_and(|second| second != ' '),
        other => !"#,[]{}&*!|>'\"%@` ".contains(other),
    };
    let stays = !text.ends_with([' ', ':']) && !text.contains(": ") && !text.contains(" #");
    let marks = ["---", "..."].iter().any(|mark| text.starts_with(mark));
    begins && stays && !marks && !means_something(text)
}

/// YAML 1.2 reads it as something else than text.
fn means_something(text: &str) -> bool {
    let words = ["true", "false", "null"];
    let is_word = words.iter().any(|word| {
        let capital = word[..1].to_uppercase() + &word[1..];
        text == *word || text == capital || text == word.to_uppercase()
    });
    is_word || matches!(text, "~" | "=" | "<<") || is_number(text) || is_date(text)
}

fn is_number(text: &str) -> bool {
    let number = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all = |digits: &str, allowed: &str| {
        !digits.is_empty() && digits.chars().all(|digit| allowed.contains(digit))
    };
    for (prefix, digits) in [("0x", "0123456789abcdefABCDEF_"), ("0b", "01_"), ("0o", "01234567_")]
    {
        if number.strip_prefix(prefix).is_some_and(|rest| all(rest, digits)) {
            return true;
        }
    }
    if matches!(number, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let begins = mantissa.trim_start_matches('.').starts_with(|digit: char| digit.is_ascii_digit());
    begins && all(exponent, "0123456789") && all(&format!("{whole}{part}"), "0123456789_")
}

/// A day, or a moment that begins with one.
fn is_date(text: &str) -> bool {
    let shape: String =
        text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).take(10).collect();
    let rest = text.get(10..).unwrap_or_default();
    shape == "0000-00-00"
        && (rest.is_empty() || rest.starts_with(['T', 't', ' ']) && rest.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_where_dvc_quotes_it() {
        for text in
            ["a b", "é", "-x", "?x", "a:b", "a,b", "y", "no", "NaN", "inf", "1:30", "1e5.dir", "0x"]
        {
            assert_eq!(scalar(text).unwrap(), text);
        }
        for text in [
            "1",
            "017",
            "+1",
            "1.",
            ".5",
            "1e5",
            "12e03",
            "1_000",
            "0x1f",
            "0o7",
            "0b1",
            "true",
            "NULL",
            "~",
            "=",
            "<<",
            "2020-01-01",
            "a: b",
            "x:",
            "x #y",
            "#x",
            "- x",
            "\"q\"",
            " lead",
            "trail ",
            "",
        ] {
            assert_eq!(scalar(text).unwrap(), format!("'{text}'"));
        }
        assert_eq!(scalar("'a\"b").unwrap(), r#""'a\"b""#);
        assert!(scalar("a\nb").is_err());
    }
}
