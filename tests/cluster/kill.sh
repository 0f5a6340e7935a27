#!/bin/bash
# kill.sh pod NAMESPACE SELECTOR    kill -9 of what one such pod runs
# kill.sh argo-cd COMPONENT         of one of Argo CD's programs; argo-cd-again starts what is missing
# kill.sh registry                  of the registry; registry-again starts it
# Processes of the cluster in tools/lab, which are this machine's; elsewhere only `argo-cd` finds something to kill.
set -euo pipefail
lab=../shared/tools/lab
state="${LAB_HOME:-$HOME/.cache/k8s-lab}"

# A file with "PID START-TIME".
kill_named_in() { read -r pid _ <"$1" && kill -9 "$pid"; }

case $1 in
  pod)
    uid=$(kubectl --namespace "$2" get pod --selector "$3" --output 'jsonpath={.items[0].metadata.uid}')
    [ -n "$uid" ] || { echo "no pod $3 in $2" >&2; exit 1; }
    found=()
    for process in /proc/[0-9]*; do
      # The process that holds the pod's namespaces stays: without it, Kubernetes makes another pod of it.
      if grep -q "pod$uid" "$process/cgroup" 2>/dev/null && [ "$(cat "$process/comm")" != pause ]; then
        found+=("${process#/proc/}")
      fi
    done
    [ "${#found[@]}" -gt 0 ] || { echo "nothing of the pod runs on this machine" >&2; exit 1; }
    # All at once: one that saw another die would make something of it. Some may have ended meanwhile.
    kill -9 "${found[@]}" 2>/dev/null || true
    ;;
  argo-cd)
    pods=(--namespace argocd --selector "app.kubernetes.io/name=argocd-$2")
    if [ -n "$(kubectl get pod "${pods[@]}" --output name)" ]; then
      kubectl delete pod "${pods[@]}" --grace-period 0 --force
    else
      # The lab calls the notification controller by a shorter name.
      file="$state/argocd/run/$2"
      [ -e "$file" ] || file="${file%-controller}"
      kill_named_in "$file"
    fi
    ;;
  argo-cd-again)
    if [ -z "$(kubectl get pod --namespace argocd --output name)" ]; then "$lab/argocd/argocd-lab" up; fi
    ;;
  registry) kill_named_in "$state/run/registry.pid" ;;
  registry-again) "$lab/lab" up ;;
  *) echo "unknown: $1" >&2; exit 2 ;;
esac
