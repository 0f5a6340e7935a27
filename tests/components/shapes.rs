//! What each component is for, as places in the manifests.

/// Component, kind, place (`*` is any of a list), and what must be there, as YAML.
pub(crate) const SHAPES: &[(&str, &str, &str, &str)] = &[
    ("access", "Deployment", ANY_MOUNT, "/run/secrets/api-keys"),
    ("access", "Deployment", "/spec/template/spec/volumes/*/secret/secretName", "api-keys"),
    (
        "access",
        "Deployment",
        "/spec/template/spec/containers/0/readinessProbe/httpGet/port",
        "admin",
    ),
    ("access", "Deployment", "/spec/template/spec/containers/0/ports/0/containerPort", "9000"),
    ("access", "Job", "/spec/template/spec/volumes/*/secret/secretName", "smoke-key"),
    ("access", "Job", ANY_MOUNT, "/run/secrets/smoke-key"),
    ("access", "NetworkPolicy", "/spec/ingress/0/ports/0/port", "9000"),
    ("ingress-tls", "Service", "/spec/type", "ClusterIP"),
    ("ingress-tls", "NetworkPolicy", "/spec/ingress/0/ports/0/port", "8089"),
    (
        "external-secrets",
        "Deployment",
        "/spec/template/spec/containers/0/volumeMounts/0/readOnly",
        "true",
    ),
    (
        "external-secrets",
        "SecretStore",
        "/spec/provider/vault/auth/kubernetes/mountPath",
        "kubernetes",
    ),
    ("feedback", "Deployment", ANY_MOUNT, "/run/secrets/feedback"),
    ("feedback", "Deployment", KEY_SECRET, "feedback-key"),
    ("gpu", "Deployment", "/spec/strategy/rollingUpdate", "{ maxSurge: 0, maxUnavailable: 1 }"),
    (
        "gpu",
        "Deployment",
        "/spec/template/spec/containers/0/resources/limits/nvidia.com~1gpu",
        "'1'",
    ),
    ("gpu", "Deployment", "/spec/template/spec/containers/0/resources/limits/memory", "640Mi"),
    ("gpu", "Deployment", "/spec/template/spec/tolerations/0/key", "nvidia.com/gpu"),
    ("gpu", "HorizontalPodAutoscaler", "/spec/maxReplicas", "2"),
    ("spot", "Deployment", "/spec/template/spec/terminationGracePeriodSeconds", "40"),
    (
        "spot",
        "Deployment",
        "/spec/template/spec/containers/0/lifecycle/preStop/sleep/seconds",
        "10",
    ),
    ("spot", "Deployment", KINDS_OF_NODES, "karpenter.sh/capacity-type"),
    ("spot", "Deployment", NODES, "kubernetes.io/hostname"),
    ("spot", "Deployment", NO_NODES_REQUIRED, "null"),
    ("canary", "HorizontalPodAutoscaler", "/spec/scaleTargetRef/kind", "Rollout"),
    (
        "canary",
        "HorizontalPodAutoscaler",
        "/metadata/annotations/argocd.argoproj.io~1sync-wave",
        "'1'",
    ),
    ("canary", "Rollout", "/metadata/annotations/argocd.argoproj.io~1sync-wave", "'1'"),
    ("canary", "Rollout", "/spec/replicas", "null"),
    ("canary", "Rollout", "/spec/strategy/canary/maxUnavailable", "0"),
    ("canary", "Rollout", "/spec/progressDeadlineAbort", "true"),
    ("mesh", "Service", "/spec/type", "ClusterIP"),
    ("mesh", "PeerAuthentication", "/spec/mtls/mode", "STRICT"),
    ("mesh", "Deployment", NATIVE_SIDECAR, "'true'"),
    ("mesh", "Deployment", SIDECAR, "'true'"),
    ("mesh", "Job", NATIVE_SIDECAR, "'true'"),
    ("mesh", "Job", SIDECAR, "'true'"),
    ("mesh", "VirtualService", "/spec/http/0/match/0/uri/prefix", "/v1/predict"),
    ("mesh", "VirtualService", "/spec/http/0/retries/attempts", "0"),
    ("mesh", "NetworkPolicy", "/spec/egress/0/ports/0/port", "15012"),
    ("mesh", "HorizontalPodAutoscaler", "/spec/metrics/1/containerResource/container", "api"),
];

const ANY_MOUNT: &str = "/spec/template/spec/containers/0/volumeMounts/*/mountPath";
const KEY_SECRET: &str = "/spec/template/spec/volumes/*/secret/secretName";
const SIDECAR: &str = "/spec/template/metadata/labels/sidecar.istio.io~1inject";
const NATIVE_SIDECAR: &str = "/spec/template/metadata/annotations/sidecar.istio.io~1nativeSidecar";
const KINDS_OF_NODES: &str = "/spec/template/spec/topologySpreadConstraints/0/topologyKey";
const NO_NODES_REQUIRED: &str =
    "/spec/template/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
const NODES: &str = "/spec/template/spec/topologySpreadConstraints/1/topologyKey";

/// Component, the one object of a kind, the place of a name in it, and the kind that it names.
pub(crate) const REFERENCES: &[(&str, &str, &str, &str)] = &[
    ("ingress-tls", "Ingress", "/spec/rules/0/http/paths/0/backend/service/name", "Service"),
    ("external-secrets", "ExternalSecret", "/spec/secretStoreRef/name", "SecretStore"),
    ("external-secrets", "SecretStore", VAULT_ACCOUNT, "ServiceAccount"),
    ("canary", "HorizontalPodAutoscaler", "/spec/scaleTargetRef/name", "Rollout"),
    ("canary", "Rollout", "/spec/workloadRef/name", "Deployment"),
    ("canary", "Rollout", "/spec/strategy/canary/canaryService", "Service"),
    ("canary", "Rollout", FIRST_ANALYSIS, "AnalysisTemplate"),
    ("canary", "Rollout", SECOND_ANALYSIS, "AnalysisTemplate"),
    ("mesh", "DestinationRule", "/spec/host", "Service"),
    ("mesh", "VirtualService", "/spec/hosts/0", "Service"),
    ("mesh", "VirtualService", "/spec/http/0/route/0/destination/host", "Service"),
];

const FIRST_ANALYSIS: &str = "/spec/strategy/canary/steps/1/analysis/templates/0/templateName";
const SECOND_ANALYSIS: &str = "/spec/strategy/canary/steps/1/analysis/templates/1/templateName";
const VAULT_ACCOUNT: &str = "/spec/provider/vault/auth/kubernetes/serviceAccountRef/name";
