//! [`Route`]: every address, closed, so that metrics and logs have as many labels as there are
//! addresses, whatever is asked for.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    Predict,
    PredictBatch,
    Infer,
    InferVersion,
    Feedback,
    Model,
    Version,
    V2Server,
    V2Live,
    V2Ready,
    V2Index,
    V2Models,
    V2Model,
    V2ModelReady,
    V2ModelVersion,
    V2ModelVersionReady,
    Livez,
    Readyz,
    Metrics,
    Docs,
    OpenApi,
    Root,
    Asset,
}

impl Route {
    pub const ALL: [Self; 23] = [
        Self::Predict,
        Self::PredictBatch,
        Self::Infer,
        Self::InferVersion,
        Self::Feedback,
        Self::Model,
        Self::Version,
        Self::V2Server,
        Self::V2Live,
        Self::V2Ready,
        Self::V2Index,
        Self::V2Models,
        Self::V2Model,
        Self::V2ModelReady,
        Self::V2ModelVersion,
        Self::V2ModelVersionReady,
        Self::Livez,
        Self::Readyz,
        Self::Metrics,
        Self::Docs,
        Self::OpenApi,
        Self::Root,
        Self::Asset,
    ];

    /// As the document and every label spell it: what stands in `{}` is up to the caller.
    pub fn path(self) -> &'static str {
        match self {
            Self::Predict => "/v1/predict",
            Self::PredictBatch => "/v1/predict/batch",
            Self::Infer => "/v2/models/{model}/infer",
            Self::InferVersion => "/v2/models/{model}/versions/{version}/infer",
            Self::Feedback => "/v1/feedback",
            Self::Model => "/v1/model",
            Self::Version => "/version",
            Self::V2Server => "/v2",
            Self::V2Live => "/v2/health/live",
            Self::V2Ready => "/v2/health/ready",
            Self::V2Index => "/v2/repository/index",
            Self::V2Models => "/v2/models",
            Self::V2Model => "/v2/models/{model}",
            Self::V2ModelReady => "/v2/models/{model}/ready",
            Self::V2ModelVersion => "/v2/models/{model}/versions/{version}",
            Self::V2ModelVersionReady => "/v2/models/{model}/versions/{version}/ready",
            Self::Livez => "/livez",
            Self::Readyz => "/readyz",
            Self::Metrics => "/metrics",
            Self::Docs => "/docs",
            Self::OpenApi => "/openapi.json",
            Self::Root => "/",
            Self::Asset => "/assets/{file}",
        }
    }

    pub fn of(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| is_of(route.path(), path))
    }

    /// As the router spells it.
    pub fn pattern(self) -> String {
        self.path().replace('{', ":").replace('}', "")
    }

    /// The value of `Allow`.
    pub fn methods(self) -> &'static str {
        if self.predicts() || matches!(self, Self::V2Index | Self::Feedback) {
            "POST"
        } else {
            "GET, HEAD"
        }
    }

    pub fn predicts(self) -> bool {
        matches!(self, Self::Predict | Self::PredictBatch | Self::Infer | Self::InferVersion)
    }

    /// For those who run the service, on a port of its own where that is wanted. Clients of the Open Inference
    /// Protocol ask for health where they ask for all else.
    pub fn is_administrative(self) -> bool {
        matches!(self, Self::Livez | Self::Readyz | Self::Metrics)
    }

    /// Asked every few seconds by machines: neither logged nor worth a place in a latency histogram.
    pub fn is_polled(self) -> bool {
        let of_models = matches!(self, Self::V2ModelReady | Self::V2ModelVersionReady);
        let of_all = matches!(self, Self::Livez | Self::Readyz | Self::V2Live | Self::V2Ready);
        of_models || of_all || self == Self::Metrics
    }
}

/// Label of a request; what no address matches shares one.
pub fn label(route: Option<Route>) -> &'static str {
    route.map_or("_unmatched", Route::path)
}

fn is_of(template: &str, path: &str) -> bool {
    if !template.contains('{') {
        return template == path;
    }
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(any), Some(word)) if any.starts_with('{') && !word.is_empty() => {}
            (Some(expected), Some(word)) if expected == word => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_found_by_its_own_path_and_filled_in() {
        for route in Route::ALL {
            assert_eq!(Route::of(route.path()), Some(route));
        }
        let check = |path, route| assert_eq!(Route::of(path), route, "{path}");
        check("/v2/models/infer/infer", Some(Route::Infer));
        check("/v2/models/a%2Fb/versions/1/infer", Some(Route::InferVersion));
        check("/v2/models/versions/ready", Some(Route::V2ModelReady));
        check("/v2/models//infer", None);
        check("/v2/models/a/", None);
        check("/v2/models/a/versions", None);
        check("/v2/models/a/versions/1/infer/", None);
        check("/v2/", None);
    }
}
