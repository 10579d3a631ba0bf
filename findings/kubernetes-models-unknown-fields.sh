#!/usr/bin/env bash
# kubernetes-models: a field that Kubernetes does not have is valid.
#
# Version:   kubernetes-models 5.1.0 (npm)
# Guess:     validate(), which has a schema of each kind, throws for a manifest with a mistyped field, as kubectl apply refuses it.
# Behaviour: it throws for a value of the wrong type and for a field that is missing. One that there is not is no mistake at any depth: Kubernetes' published
#            schemas do not say that there are no others, and the package does not add it. The types for TypeScript see it, at build time alone.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

need npm node
(cd "$dir" && npm install --ignore-scripts --no-audit --no-fund kubernetes-models@5.1.0 >npm.log 2>&1) || cannot "npm install kubernetes-models@5.1.0"
cat >"$dir/try.mjs" <<'END'
import { Pod } from "kubernetes-models/v1";

function attempt(name, change) {
  const data = { apiVersion: "v1", kind: "Pod", metadata: { name: "a" }, spec: { containers: [{ name: "b", image: "c" }] } };
  change(data);
  try {
    new Pod(data).validate();
    console.log(`${name}: valid`);
  } catch (error) {
    console.log(`${name}: ${error.message}`);
  }
}
attempt("as it should be", () => {});
attempt("hostNetwork is a text", (pod) => (pod.spec.hostNetwork = "yes"));
attempt("a container without a name", (pod) => delete pod.spec.containers[0].name);
attempt("hostnetwork", (pod) => (pod.spec.hostnetwork = true));
attempt("readynessProbe of a container", (pod) => (pod.spec.containers[0].readynessProbe = {}));
END
seen=$(cd "$dir" && node try.mjs)
expected='as it should be: valid
hostNetwork is a text: data/spec/hostNetwork must be boolean
a container without a name: data/spec/containers/0 must have required property name
hostnetwork: valid
readynessProbe of a container: valid'
stated "$expected" "$seen"
