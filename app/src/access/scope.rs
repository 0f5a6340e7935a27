//! [`Scope`]: what a caller may do, and the one table of what each route asks for.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use protocol::problem::{Code, Refusal};

use crate::api::routes::Route;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scope {
    /// Have pictures classified, and read about the model
    Predict,
    /// Tell what pictures really showed
    Feedback,
    /// Read the metrics
    Admin,
}

/// What a route asks of its caller, where callers are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    Nothing,
    Scope(Scope),
}

/// What is not listed is for administrators: a new route is open to nobody else until it is.
pub fn needed(route: Route) -> Needed {
    match route {
        Route::Livez
        | Route::Readyz
        | Route::V2Live
        | Route::V2Ready
        | Route::Docs
        | Route::OpenApi
        | Route::Root
        | Route::Asset => Needed::Nothing,
        Route::Feedback => Needed::Scope(Scope::Feedback),
        Route::Model
        | Route::Version
        | Route::V2Server
        | Route::V2Index
        | Route::V2Models
        | Route::V2Model
        | Route::V2ModelReady
        | Route::V2ModelVersion
        | Route::V2ModelVersionReady => Needed::Scope(Scope::Predict),
        route if route.predicts() => Needed::Scope(Scope::Predict),
        _ => Needed::Scope(Scope::Admin),
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scope {
    fn name(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::Feedback => "feedback",
            Self::Admin => "admin",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Scopes {
    pub fn allow(self, scope: Scope) -> Result<(), Refusal> {
        if self.0 & scope.bit() != 0 {
            return Ok(());
        }
        let detail = format!("the scope `{}` is needed for this", scope.name());
        Err(Refusal::new(Code::Forbidden, detail))
    }

    /// Those of ours among the names; a token may hold others.
    pub fn among<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        names.filter_map(|name| <Scope as ValueEnum>::from_str(name, false).ok()).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | scope.bit()))
    }
}

/// Names with commas between them, one at least.
impl FromStr for Scopes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let scope = |name| {
            <Scope as ValueEnum>::from_str(name, false)
                .map_err(|_error| "a scope is none of predict, feedback and admin".to_owned())
        };
        text.split(',').map(scope).collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ours = Scope::value_variants().iter().filter(|scope| self.0 & scope.bit() != 0);
        f.write_str(&ours.map(|scope| scope.name()).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_open_but_probes_documentation_and_the_page() {
        let open = Route::ALL.into_iter().filter(|route| needed(*route) == Needed::Nothing);
        let open: Vec<_> = open.map(Route::path).collect();
        let probes = ["/v2/health/live", "/v2/health/ready", "/livez", "/readyz"];
        assert_eq!(
            open,
            [&probes[..], &["/docs", "/openapi.json", "/", "/assets/{file}"]].concat()
        );
    }

    #[test]
    fn predictions_need_their_scope_and_metrics_another() {
        for route in Route::ALL.into_iter().filter(|route| route.predicts()) {
            assert_eq!(needed(route), Needed::Scope(Scope::Predict), "{route:?}");
        }
        assert_eq!(needed(Route::Metrics), Needed::Scope(Scope::Admin));
    }

    #[test]
    fn scopes_read_as_they_are_written() {
        for text in ["predict", "predict,feedback", "predict,feedback,admin"] {
            assert_eq!(text.parse::<Scopes>().unwrap().to_string(), text);
        }
        for wrong in ["", "Predict", "predict,", "predict feedback", "all"] {
            assert!(wrong.parse::<Scopes>().is_err(), "{wrong}");
        }
        assert_eq!(Scopes::among("openid predict".split(' ')).to_string(), "predict");
    }
}
