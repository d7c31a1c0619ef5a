package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// What Argo CD accepts from a script.
var argoStates = []string{"Unknown", "Progressing", "Suspended", "Healthy", "Degraded", "Missing"}

// byArgoCD judges by the scripts of a ConfigMap argocd-cm, as Argo CD runs them: one second, the base and table libraries
// only, the object in `obj`, and an object that is being deleted never comes to its script.
func byArgoCD(name string) (judge, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var config struct {
		Data map[string]string `json:"data"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		return nil, err
	}
	return func(object *unstructured.Unstructured) (health, error) {
		if object.GetDeletionTimestamp() != nil {
			return health{Status: "Progressing", Message: "Pending deletion"}, nil
		}
		key := fmt.Sprintf("resource.customizations.health.%s_%s", object.GroupVersionKind().Group, object.GetKind())
		script, ok := config.Data[key]
		if !ok {
			return health{}, fmt.Errorf("%s has no key %s", name, key)
		}
		return runScript(script, object)
	}, nil
}

func runScript(script string, object *unstructured.Unstructured) (health, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for library, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(library))
		state.Call(1, 0)
	}
	limited, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(limited)
	state.SetGlobal("obj", toLua(state, object.Object))
	if err := state.DoString(script); err != nil {
		return health{}, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return health{}, fmt.Errorf("a script returns a table, not %s", state.Get(-1).Type())
	}
	found := health{Status: lua.LVAsString(table.RawGetString("status")), Message: lua.LVAsString(table.RawGetString("message"))}
	if !slices.Contains(argoStates, found.Status) {
		return health{}, fmt.Errorf("%q is no state of Argo CD", found.Status)
	}
	return found, nil
}

// toLua gives a decoded JSON value as a value of Lua.
func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case string:
		return lua.LString(value)
	case []any:
		table := state.NewTable()
		for _, item := range value {
			table.Append(toLua(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for name, item := range value {
			table.RawSetString(name, toLua(state, item))
		}
		return table
	}
	return lua.LNil
}
