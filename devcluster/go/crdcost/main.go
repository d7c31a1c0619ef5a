// Crdcost prints what the validation rules of CustomResourceDefinitions may cost, as the API server estimates it before it
// installs them: crdcost FILE...
//
// The estimates come from the API server's own packages, at the version in go.mod. A rule may cost StaticEstimatedCostLimit,
// all rules of a definition together StaticEstimatedCRDCostLimit; a definition above either is refused. This program
// already fails at half of either, so that the next field does not come as a surprise, and for whatever else the API server
// would refuse the definition. One line for each rule, the dearest first.
package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"text/tabwriter"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apimachinery/pkg/runtime"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"
)

// alarm is the part of a budget above which a definition fails here.
const alarm = 0.5

// A cost is what one rule may cost at one object: its estimate times how often its node may occur.
type cost struct {
	path  string
	times uint64
	total uint64
}

func (c cost) ofRule() float64       { return share(c.total, validation.StaticEstimatedCostLimit) }
func (c cost) ofDefinition() float64 { return share(c.total, validation.StaticEstimatedCRDCostLimit) }

func share(total uint64, limit int) float64 { return float64(total) / float64(limit) }

func main() {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	failed := false
	for _, name := range os.Args[1:] {
		problems, err := check(scheme, name)
		if err != nil {
			problems = append(problems, err.Error())
		}
		for _, problem := range problems {
			failed = true
			fmt.Fprintf(os.Stderr, "%s: %s\n", name, problem)
		}
	}
	if failed {
		os.Exit(1)
	}
}

// check prints the costs of a definition and returns what is wrong with it.
func check(scheme *runtime.Scheme, name string) ([]string, error) {
	definition, err := read(scheme, name)
	if err != nil {
		return nil, err
	}
	var problems []string
	for _, refusal := range validation.ValidateCustomResourceDefinition(context.Background(), definition) {
		problems = append(problems, "the API server refuses it: "+refusal.Error())
	}
	for _, version := range definition.Spec.Versions {
		schema, err := apiextensions.GetSchemaForVersion(definition, version.Name)
		if err != nil {
			return nil, err
		}
		costs, err := costsOf(schema.OpenAPIV3Schema, "", validation.RootCELContext(schema.OpenAPIV3Schema))
		if err != nil {
			return nil, err
		}
		show(definition.Name+" "+version.Name, costs)
		problems = append(problems, tooDear(costs)...)
	}
	return problems, nil
}

// read gives the definition as the API server sees it when it is created.
func read(scheme *runtime.Scheme, name string) (*apiextensions.CustomResourceDefinition, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	written, definition := &v1.CustomResourceDefinition{}, &apiextensions.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(text, written); err != nil {
		return nil, err
	}
	scheme.Default(written)
	for _, version := range written.Spec.Versions {
		if version.Storage {
			written.Status.StoredVersions = []string{version.Name}
		}
	}
	return definition, scheme.Convert(written, definition, nil)
}

// costsOf collects the costs of all rules at and below a node of a schema, in no order. The root's path is empty.
func costsOf(node *apiextensions.JSONSchemaProps, path string, at *validation.CELSchemaContext) ([]cost, error) {
	costs, err := costsAt(node, path, at)
	if err != nil {
		return nil, err
	}
	below := func(child *apiextensions.JSONSchemaProps, path string, at *validation.CELSchemaContext) error {
		more, err := costsOf(child, path, at)
		costs = append(costs, more...)
		return err
	}
	for name := range node.Properties {
		child := node.Properties[name]
		if err := below(&child, path+"."+name, at.ChildPropertyContext(&child, name)); err != nil {
			return nil, err
		}
	}
	if node.Items != nil && node.Items.Schema != nil {
		if err := below(node.Items.Schema, path+"[]", at.ChildItemsContext(node.Items.Schema)); err != nil {
			return nil, err
		}
	}
	if node.AdditionalProperties != nil && node.AdditionalProperties.Schema != nil {
		child := node.AdditionalProperties.Schema
		if err := below(child, path+".*", at.ChildAdditionalPropertiesContext(child)); err != nil {
			return nil, err
		}
	}
	return costs, nil
}

// costsAt gives the costs of the rules of one node.
func costsAt(node *apiextensions.JSONSchemaProps, path string, at *validation.CELSchemaContext) ([]cost, error) {
	if len(node.XValidations) == 0 {
		return nil, nil
	}
	types, err := at.TypeInfo()
	if err != nil || types == nil {
		return nil, fmt.Errorf("%s has rules and no type: %w", path, err)
	}
	environments := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
	results, err := cel.Compile(types.Schema, types.DeclType, celconfig.PerCallLimit, environments, cel.NewExpressionsEnvLoader())
	if err != nil {
		return nil, err
	}
	costs := make([]cost, 0, len(results))
	for i, result := range results {
		if result.Error != nil {
			return nil, fmt.Errorf("%s rule %d: %s", path, i, result.Error.Detail)
		}
		times := result.MaxCardinality
		if at.MaxCardinality != nil {
			times = *at.MaxCardinality
		}
		costs = append(costs, cost{fmt.Sprintf("%s#%d", path, i), times, product(result.MaxCost, times)})
	}
	return costs, nil
}

// product is the greatest number where it would overflow: an unbounded list costs that.
func product(a, b uint64) uint64 {
	if b != 0 && a > math.MaxUint64/b {
		return math.MaxUint64
	}
	return a * b
}

func sum(costs []cost) uint64 {
	total := uint64(0)
	for _, c := range costs {
		if c.total > math.MaxUint64-total {
			return math.MaxUint64
		}
		total += c.total
	}
	return total
}

func show(title string, costs []cost) {
	slices.SortFunc(costs, func(a, b cost) int {
		return cmp.Or(cmp.Compare(b.total, a.total), cmp.Compare(a.path, b.path))
	})
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "COST\tTIMES\tOF A RULE'S BUDGET\tOF THE CRD'S BUDGET\t  PATH#RULE")
	for _, c := range costs {
		fmt.Fprintf(table, "%d\t%d\t%.3f %%\t%.3f %%\t  %s\n", c.total, c.times, 100*c.ofRule(), 100*c.ofDefinition(), c.path)
	}
	total := sum(costs)
	fmt.Fprintf(table, "%d\t\t\t%.3f %%\t  all of %s\n", total, 100*share(total, validation.StaticEstimatedCRDCostLimit), title)
	table.Flush()
}

func tooDear(costs []cost) []string {
	var problems []string
	for _, c := range costs {
		if c.ofRule() > alarm {
			problems = append(problems, fmt.Sprintf("%s may cost %d, %.0f %% of what one rule may", c.path, c.total, 100*c.ofRule()))
		}
	}
	if total := sum(costs); share(total, validation.StaticEstimatedCRDCostLimit) > alarm {
		part := 100 * share(total, validation.StaticEstimatedCRDCostLimit)
		problems = append(problems, fmt.Sprintf("its rules may cost %d together, %.0f %% of what a definition may", total, part))
	}
	return problems
}
