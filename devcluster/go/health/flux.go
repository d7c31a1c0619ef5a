package main

import (
	"context"
	"fmt"
	"os"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// byFlux judges by spec.healthCheckExprs of a Kustomization, evaluated by Flux's own package.
func byFlux(name string) (judge, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var kustomization struct {
		Spec struct {
			HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &kustomization); err != nil {
		return nil, err
	}
	checks := map[string]*cel.StatusEvaluator{}
	for _, check := range kustomization.Spec.HealthCheckExprs {
		evaluator, err := cel.NewStatusEvaluator(&check.HealthCheckExpressions)
		if err != nil {
			return nil, err
		}
		checks[check.APIVersion+" "+check.Kind] = evaluator
	}
	return func(object *unstructured.Unstructured) (health, error) {
		check := checks[object.GetAPIVersion()+" "+object.GetKind()]
		if check == nil {
			return health{}, fmt.Errorf("%s has no expressions for %s", name, object.GetKind())
		}
		found, err := check.Evaluate(context.Background(), object)
		if err != nil {
			return health{}, err
		}
		return health{Status: found.Status.String(), Message: found.Message}, nil
	}, nil
}
