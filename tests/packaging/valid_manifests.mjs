// SPDX-License-Identifier: Apache-2.0
// Reads objects of Kubernetes as a JSON array, and checks each against Kubernetes' own schema of its kind, by the package kubernetes-models of the
// folder that this stands in. Prints what is wrong, and ends with 1 then.
import { readFileSync } from "node:fs";

let wrong = 0;
for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  const kinds = await import(`kubernetes-models/${object.apiVersion}`);
  try {
    new kinds[object.kind](object).validate();
  } catch (error) {
    console.log(`${object.kind} ${object.metadata?.name}: ${error.message}`);
    wrong = 1;
  }
}
process.exit(wrong);
