//! [`Expressions`]: those that our workflows use, evaluated as GitHub does; one that it does not know is a
//! failure of the test.

use std::path::Path;

use serde_json::{Value, json};

/// What the names in expressions stand for.
pub(crate) struct Expressions(pub(crate) Value);

impl Expressions {
    /// A text with `${{ … }}` in it.
    pub(crate) fn expand(&self, text: &str) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${{") {
            let (expression, after) = after.split_once("}}").unwrap();
            expanded.push_str(before);
            match self.value(expression.trim()) {
                Value::String(text) => expanded.push_str(&text),
                Value::Null => {}
                value => expanded.push_str(&value.to_string()),
            }
            rest = after;
        }
        expanded + rest
    }

    pub(crate) fn holds(&self, condition: &str) -> bool {
        let inner = condition.trim().strip_prefix("${{").and_then(|text| text.strip_suffix("}}"));
        truth(&self.value(inner.unwrap_or(condition).trim()))
    }

    /// Operators from the loosest to the tightest, then functions, texts and names.
    fn value(&self, expression: &str) -> Value {
        if let Some((left, right)) = split(expression, " || ") {
            let left = self.value(left);
            return if truth(&left) { left } else { self.value(right) };
        }
        if let Some((left, right)) = split(expression, " && ") {
            let left = self.value(left);
            return if truth(&left) { self.value(right) } else { left };
        }
        for (operator, equal) in [(" == ", true), (" != ", false)] {
            if let Some((left, right)) = split(expression, operator) {
                return json!((self.value(left) == self.value(right)) == equal);
            }
        }
        if let Some(text) = expression.strip_prefix('\'') {
            return json!(text.strip_suffix('\'').unwrap());
        }
        if let Some((patterns, "")) = call(expression, "hashFiles(") {
            // Of no file it is empty. None of ours is a pattern but where any of several will do.
            let checkout = Path::new(self.0["github"]["workspace"].as_str().unwrap_or_default());
            let mut files = patterns.split(", ").map(|file| checkout.join(file.trim_matches('\'')));
            return json!(if files.any(|file| file.is_file()) { "a-hash" } else { "" });
        }
        if let Some((argument, path)) = call(expression, "fromJSON(") {
            let json = self.value(argument);
            let json: Value = serde_json::from_str(json.as_str().unwrap())
                .unwrap_or_else(|error| panic!("`{expression}`: {error}"));
            return at(&json, path.trim_start_matches('.'), expression);
        }
        if let Some((arguments, "")) = call(expression, "format(") {
            let mut arguments = arguments.split(", ").map(|argument| self.value(argument.trim()));
            let pattern = arguments.next().unwrap().as_str().unwrap().to_owned();
            return json!(arguments.enumerate().fold(pattern, |text, (place, value)| {
                text.replace(&format!("{{{place}}}"), value.as_str().unwrap())
            }));
        }
        at(&self.0, expression, expression)
    }
}

/// At the first operator that is not within brackets.
fn split<'a>(expression: &'a str, operator: &str) -> Option<(&'a str, &'a str)> {
    let mut places = expression.match_indices(operator);
    let (place, _) = places.find(|(place, _)| {
        let before = &expression[..*place];
        before.matches('(').count() == before.matches(')').count()
    })?;
    Some((expression[..place].trim(), expression[place + operator.len()..].trim()))
}

/// What is within the brackets, and what is behind them.
fn call<'a>(expression: &'a str, function: &str) -> Option<(&'a str, &'a str)> {
    expression.strip_prefix(function)?.rsplit_once(')')
}

fn at(value: &Value, path: &str, expression: &str) -> Value {
    let found = value.pointer(&format!("/{}", path.replace('.', "/")));
    found.unwrap_or_else(|| panic!("`{expression}`")).clone()
}

fn truth(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false)) && value != ""
}
