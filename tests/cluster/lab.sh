#!/bin/bash
# Starts the Kubernetes and the Argo CD of tools/lab, which must have been built, and prints what a shell needs to use
# them: KUBECONFIG, PATH, and CLUSTER_REPOSITORY, where images may be pushed. Pods know the node's registry by another
# name, which a second process of it has; a ConfigMap tells it (KEP-1755).
set -euo pipefail
cd "$(dirname "$0")/../.."
lab=../shared/tools/lab
state="${LAB_HOME:-$HOME/.cache/k8s-lab}"
for_pods=10.97.0.1:5001

"$lab/lab" up >&2
environment="$("$lab/lab" env)"
eval "$environment"
"$lab/argocd/argocd-lab" up >&2

if ! curl --silent --fail --output /dev/null "http://$for_pods/v2/"; then
  sed "s/$LAB_REGISTRY/$for_pods/" "$state/conf/registry.yaml" > "$state/conf/registry-for-pods.yaml"
  setsid docker-registry serve "$state/conf/registry-for-pods.yaml" < /dev/null >> "$state/log/registry-for-pods.log" 2>&1 &
fi
kubectl apply --server-side --filename - >&2 << EOF
apiVersion: v1
kind: ConfigMap
metadata: { name: local-registry-hosting, namespace: kube-public }
data:
  localRegistryHosting.v1: |
    host: "$LAB_REGISTRY"
    hostFromClusterNetwork: "$for_pods"
EOF
cargo xtask cluster bootstrap --take-over >&2
"$lab/argocd/argocd-lab" restart application-controller >&2
"$lab/argocd/argocd-lab" restart repo-server >&2

echo "$environment"
echo "export CLUSTER_REPOSITORY=$LAB_REGISTRY/mnist-api"
