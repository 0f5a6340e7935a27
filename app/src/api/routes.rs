//! [`Route`]: every address, closed, so that metrics and logs have as many labels as there are
//! addresses, whatever is asked for.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    Predict,
    PredictBatch,
    Model,
    Version,
    Livez,
    Readyz,
    Metrics,
    Docs,
    OpenApi,
    Root,
}

impl Route {
    pub const ALL: [Self; 10] = [
        Self::Predict,
        Self::PredictBatch,
        Self::Model,
        Self::Version,
        Self::Livez,
        Self::Readyz,
        Self::Metrics,
        Self::Docs,
        Self::OpenApi,
        Self::Root,
    ];

    pub fn path(self) -> &'static str {
        match self {
            Self::Predict => "/v1/predict",
            Self::PredictBatch => "/v1/predict/batch",
            Self::Model => "/v1/model",
            Self::Version => "/version",
            Self::Livez => "/livez",
            Self::Readyz => "/readyz",
            Self::Metrics => "/metrics",
            Self::Docs => "/docs",
            Self::OpenApi => "/openapi.json",
            Self::Root => "/",
        }
    }

    pub fn of(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| route.path() == path)
    }

    /// The value of `Allow`.
    pub fn methods(self) -> &'static str {
        if self.predicts() { "POST" } else { "GET, HEAD" }
    }

    pub fn predicts(self) -> bool {
        matches!(self, Self::Predict | Self::PredictBatch)
    }

    /// Asked every few seconds by machines: neither logged nor worth a place in a latency histogram.
    pub fn is_polled(self) -> bool {
        matches!(self, Self::Livez | Self::Readyz | Self::Metrics)
    }
}

/// Label of a request; what no address matches shares one.
pub fn label(route: Option<Route>) -> &'static str {
    route.map_or("_unmatched", Route::path)
}
