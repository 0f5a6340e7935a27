//! [`Space`]: which fields of a recipe are looked for, and where. Samplers see a point of it as numbers between 0 and
//! 1, whatever the fields are.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Values by dotted field, such as `schedule.peak` or `net.blocks.0.channels`.
pub(super) type Params = BTreeMap<String, Value>;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Space(BTreeMap<String, Domain>);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Domain {
    /// Evenly in the logarithm.
    Log {
        low: f64,
        high: f64,
    },
    Uniform {
        low: f64,
        high: f64,
    },
    /// `low`, `low + step`, … up to `high`.
    Int {
        low: i64,
        high: i64,
        step: i64,
    },
    /// Of whatever a recipe may hold there; they have no order.
    Choice(Vec<Value>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    log: Option<[f64; 2]>,
    uniform: Option<[f64; 2]>,
    int: Option<Vec<i64>>,
    choice: Option<Vec<Value>>,
}

/// Sampled values are rounded, so that a recipe can be read.
const FIGURES: i32 = 4;

impl Space {
    /// What is wrong about any field goes to `mistakes`.
    pub(super) fn of(written: &BTreeMap<String, Value>, mistakes: &mut Vec<String>) -> Self {
        if written.is_empty() {
            mistakes.push("space: nothing is looked for".to_owned());
        }
        let domain = |(field, value): (&String, &Value)| match named(field, written)
            .and_then(|()| Domain::of(value))
        {
            Ok(domain) => Some((field.clone(), domain)),
            Err(mistake) => {
                mistakes.push(format!("space.{field}: {mistake}"));
                None
            }
        };
        Self(written.iter().filter_map(domain).collect())
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn domains(&self) -> impl Iterator<Item = &Domain> {
        self.0.values()
    }

    /// The values at a point.
    pub(super) fn at(&self, point: &[f64]) -> Params {
        let values = self.0.iter().zip(point);
        values.map(|((field, domain), share)| (field.clone(), domain.at(*share))).collect()
    }

    /// The point with these values; none where one is no choice of its field. Numbers outside are taken for the nearest.
    pub(super) fn point(&self, params: &Params) -> Option<Vec<f64>> {
        self.0.iter().map(|(field, domain)| domain.share(params.get(field)?)).collect()
    }

    /// The values that a recipe has, `Err` with the fields that it has not.
    pub(super) fn of_recipe(&self, recipe: &Value) -> Result<Params, Vec<String>> {
        let (mut params, mut missing) = (Params::new(), Vec::new());
        for field in self.fields() {
            match recipe.pointer(&pointer(field)) {
                Some(value) => drop(params.insert(field.to_owned(), value.clone())),
                None => missing.push(field.to_owned()),
            }
        }
        if missing.is_empty() { Ok(params) } else { Err(missing) }
    }

    /// The ends of every field, one at a time: where none of these is refused, hardly anything between is.
    pub(super) fn ends(&self) -> Vec<Params> {
        let of = |(field, domain): (&String, &Domain)| {
            let ends = match domain {
                Domain::Choice(values) => values.clone(),
                domain => vec![domain.at(0.0), domain.at(1.0)],
            };
            ends.into_iter().map(|end| Params::from([(field.clone(), end)])).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }
}

/// The recipe with other values.
pub(super) fn changed(recipe: &Value, params: &Params) -> Value {
    let mut recipe = recipe.clone();
    for (field, value) in params {
        if let Some(place) = recipe.pointer_mut(&pointer(field)) {
            place.clone_from(value);
        }
    }
    recipe
}

/// Of two that have a part of the recipe in common, one would change what the other is said to be.
fn named(field: &str, all: &BTreeMap<String, Value>) -> Result<(), String> {
    demand(!field.contains(['/', '~']), "a field inside of another is named by dots")?;
    let is_around = |other: &&String| {
        field.strip_prefix(other.as_str()).is_some_and(|inside| inside.starts_with('.'))
    };
    match all.keys().find(is_around) {
        Some(other) => Err(format!("it is a part of `{other}`, which is looked for as a whole")),
        None => Ok(()),
    }
}

fn pointer(field: &str) -> String {
    format!("/{}", field.replace('.', "/"))
}

impl Domain {
    fn of(value: &Value) -> Result<Self, String> {
        let written: Written =
            serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
        match written {
            Written { log: Some([low, high]), uniform: None, int: None, choice: None } => {
                demand(low > 0.0, "log: the lower end must be above 0")?;
                between(low, high).map(|()| Self::Log { low, high })
            }
            Written { log: None, uniform: Some([low, high]), int: None, choice: None } => {
                between(low, high).map(|()| Self::Uniform { low, high })
            }
            Written { log: None, uniform: None, int: Some(ends), choice: None } => {
                let (low, high, step) = match ends[..] {
                    [low, high] => (low, high, 1),
                    [low, high, step] => (low, high, step),
                    _ => return Err("int: [low, high] or [low, high, step]".to_owned()),
                };
                demand(low < high, "the lower end must be below the upper one")?;
                demand(step > 0, "int: the step must be above 0")?;
                demand(high.checked_sub(low).is_some_and(|wide| wide < 1 << 50), "int: too wide")?;
                Ok(Self::Int { low, high, step })
            }
            Written { log: None, uniform: None, int: None, choice: Some(values) } => {
                demand(values.len() > 1, "choice: at least two values")?;
                Ok(Self::Choice(values))
            }
            _ => Err("one of log, uniform, int and choice".to_owned()),
        }
    }

    /// Of a field without order, how many values it has.
    pub(super) fn choices(&self) -> Option<usize> {
        match self {
            Self::Choice(values) => Some(values.len()),
            _ => None,
        }
    }

    fn at(&self, share: f64) -> Value {
        match self {
            Self::Log { low, high } => {
                rounded((low.ln() + share * (high / low).ln()).exp(), *low, *high).into()
            }
            Self::Uniform { low, high } => rounded(low + share * (high - low), *low, *high).into(),
            Self::Int { low, high, step } => {
                let count = (high - low) / step + 1;
                let index = i64::try_from(index(share, count as f64)).unwrap_or_default();
                (low + step * index).into()
            }
            Self::Choice(values) => values[index(share, values.len() as f64)].clone(),
        }
    }

    fn share(&self, value: &Value) -> Option<f64> {
        let share = match self {
            Self::Log { low, high } => (value.as_f64()? / low).ln() / (high / low).ln(),
            Self::Uniform { low, high } => (value.as_f64()? - low) / (high - low),
            Self::Int { low, high, step } => {
                let count = ((high - low) / step + 1) as f64;
                ((value.as_f64()? - *low as f64) / *step as f64 + 0.5) / count
            }
            Self::Choice(values) => {
                let index = values.iter().position(|known| known == value)?;
                (index as f64 + 0.5) / values.len() as f64
            }
        };
        Some(share.clamp(0.0, 1.0))
    }
}

/// Which of so many a share falls on.
fn index(share: f64, count: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and below the count"
    )]
    let index = (share.clamp(0.0, 1.0) * count).min(count - 1.0) as usize;
    index
}

fn rounded(value: f64, low: f64, high: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "an exponent of a double")]
    let exponent = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    let unit = 10_f64.powi(FIGURES - 1 - exponent);
    // Once more by its digits: the division leaves others behind.
    let digits = format!("{:.*e}", (FIGURES - 1) as usize, (value * unit).round() / unit);
    digits.parse::<f64>().unwrap_or(value).clamp(low, high)
}

fn between(low: f64, high: f64) -> Result<(), String> {
    demand(low.is_finite() && high.is_finite(), "the ends must be finite")?;
    demand(low < high, "the lower end must be below the upper one")
}

fn demand(holds: bool, mistake: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(mistake.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(yaml: &str) -> Result<Space, Vec<String>> {
        let mut mistakes = Vec::new();
        let space = Space::of(&serde_yaml::from_str(yaml).unwrap(), &mut mistakes);
        if mistakes.is_empty() { Ok(space) } else { Err(mistakes) }
    }

    #[test]
    fn a_point_is_the_same_after_its_values_were_written_and_read() {
        let space = space(
            "{a: {log: [0.001, 10]}, b: {uniform: [-1, 1]}, c: {int: [8, 32, 8]}, d: {choice: [x, null]}}",
        )
        .unwrap();
        for point in [[0.0, 0.0, 0.125, 0.25], [1.0, 1.0, 0.875, 0.75], [0.3, 0.7, 0.375, 0.25]] {
            let params = space.at(&point);
            let again = space.point(&params).unwrap();
            let apart = point.iter().zip(&again).map(|(one, other)| (one - other).abs());
            assert!(apart.fold(0.0, f64::max) < 1e-3, "{point:?}: {params:?}: {again:?}");
        }
        let params = space.at(&[0.5, 0.123_456, 0.99, 0.0]);
        assert_eq!(params["a"], 0.1);
        assert_eq!(
            (&params["b"], &params["c"], &params["d"]),
            (&(-0.7531).into(), &32.into(), &"x".into())
        );
        assert_eq!(space.point(&Params::from([("d".to_owned(), "y".into())])), None);
    }

    #[test]
    fn every_mistake_is_told_with_its_field() {
        let mistakes = space(
            "{a: {log: [0, 1]}, b: {uniform: [2, 1]}, c: {int: [1]}, d: {choice: [x]}, e: {range: [0, 1]}, \
             f: {log: [1, 2], choice: [1, 2]}, g: 3}",
        )
        .unwrap_err();
        assert_eq!(mistakes.len(), 7, "{mistakes:#?}");
        for (field, mistake) in ["a", "b", "c", "d", "e", "f", "g"].iter().zip(&mistakes) {
            assert!(mistake.starts_with(&format!("space.{field}: ")), "{mistake}");
        }
    }

    #[test]
    fn a_recipe_is_changed_where_it_has_the_fields_and_others_are_named() {
        let recipe = serde_json::json!({ "net": { "blocks": [{ "channels": 4 }] }, "batch": 64 });
        let space =
            space("{net.blocks.0.channels: {int: [1, 8]}, batch: {choice: [64, 128]}}").unwrap();
        let params = space.at(&[1.0, 1.0]);
        let changed = changed(&recipe, &params);
        assert_eq!(space.of_recipe(&changed), Ok(params));
        assert_eq!(changed["net"]["blocks"][0]["channels"], 8);
        let other = serde_json::json!({ "batch": 64 });
        assert_eq!(space.of_recipe(&other), Err(vec!["net.blocks.0.channels".to_owned()]));
    }
}
