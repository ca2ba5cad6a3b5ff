// Command judge answers what Istio's admission webhook and the schema of its CRDs say of objects: a line of JSON in, a line of JSON out,
// by file descriptor 3, for Istio logs to both others. Arguments: the files of the CRDs.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	schemas "istio.io/istio/pkg/config/crd"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/resource"
)

type question struct {
	ID     string          `json:"id"`
	Object json.RawMessage `json:"object"`
}

type answer struct {
	ID string `json:"id"`
	// accept, warn, reject, or unknown for a kind that is not Istio's.
	Verdict string `json:"verdict"`
	Words   string `json:"words,omitempty"`
}

func main() {
	validator, err := schemas.NewValidatorFromFilesWithOptions(os.Args[1:], schemas.WithoutCRDValidation())
	if err != nil {
		panic(err)
	}
	validator.SkipMissing = true
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<24)
	out := bufio.NewWriter(os.NewFile(3, "answers"))
	defer out.Flush()
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		verdict, words := judge(validator, asked.Object)
		line, _ := json.Marshal(answer{ID: asked.ID, Verdict: verdict, Words: words})
		fmt.Fprintf(out, "%s\n", line)
	}
}

// A rejection by either, else what the webhook says: an object passes both.
func judge(validator *schemas.Validator, object []byte) (verdict string, words string) {
	defer func() {
		if found := recover(); found != nil {
			verdict, words = "unknown", fmt.Sprint(found)
		}
	}()
	untyped := &unstructured.Unstructured{}
	if err := untyped.UnmarshalJSON(object); err != nil {
		return "reject", err.Error()
	}
	if err := validator.ValidateCustomResource(untyped); err != nil {
		return "reject", err.Error()
	}
	var read crd.IstioKind
	if err := json.Unmarshal(object, &read); err != nil {
		return "reject", err.Error()
	}
	kind := read.GroupVersionKind()
	schema, known := collections.PilotGatewayAPI().FindByGroupKind(resource.FromKubernetesGVK(&kind))
	if !known {
		return "unknown", ""
	}
	config, err := crd.ConvertObject(schema, &read, "cluster.local")
	if err != nil {
		return "reject", err.Error()
	}
	warning, err := schema.ValidateConfig(*config)
	if err != nil {
		return "reject", err.Error()
	}
	if warning != nil {
		return "warn", warning.Error()
	}
	return "accept", ""
}
