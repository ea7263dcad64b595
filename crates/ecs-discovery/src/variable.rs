//! The names of the variables that a container opts in with. Their meaning is that of the convention.

/// A variable that a container opts in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variable {
    /// `PROMETHEUS`
    Prometheus,
    /// `PROMETHEUS_ENDPOINT`
    Endpoint,
    /// `PROMETHEUS_SD_ENDPOINT`, for images that read `PROMETHEUS_ENDPOINT` themselves
    SdEndpoint,
    /// `PROMETHEUS_PORT`
    Port,
    /// `PROMETHEUS_CONTAINER_PORT`
    ContainerPort,
    /// `PROMETHEUS_NOLABELS`
    NoLabels,
    /// `PROMETHEUS_TAGS`
    Tags,
    /// `PROMETHEUS_SCHEME`
    Scheme,
}

impl Variable {
    /// Every variable, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Prometheus,
        Self::Endpoint,
        Self::SdEndpoint,
        Self::Port,
        Self::ContainerPort,
        Self::NoLabels,
        Self::Tags,
        Self::Scheme,
    ];

    /// The name as task definitions spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prometheus => "PROMETHEUS",
            Self::Endpoint => "PROMETHEUS_ENDPOINT",
            Self::SdEndpoint => "PROMETHEUS_SD_ENDPOINT",
            Self::Port => "PROMETHEUS_PORT",
            Self::ContainerPort => "PROMETHEUS_CONTAINER_PORT",
            Self::NoLabels => "PROMETHEUS_NOLABELS",
            Self::Tags => "PROMETHEUS_TAGS",
            Self::Scheme => "PROMETHEUS_SCHEME",
        }
    }

    /// The variable of that exact name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variable| variable.name() == name)
    }
}

impl AsRef<str> for Variable {
    fn as_ref(&self) -> &str {
        self.name()
    }
}
