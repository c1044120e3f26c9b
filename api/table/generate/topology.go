package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// What Go's struct tags do not say: how lists and maps merge, which fields are required, what is filled in.
type topology struct {
	fields map[string][]string // words by "type field"
	atomic map[string]bool     // types that are replaced as a whole
}

func (t topology) words(full, field string) []string { return t.fields[full+" "+field] }

type property struct {
	Default  any        `json:"default"`
	ListType string     `json:"x-kubernetes-list-type"`
	Keys     []string   `json:"x-kubernetes-list-map-keys"`
	MapType  string     `json:"x-kubernetes-map-type"`
	AllOf    []property `json:"allOf"`
}

type definition struct {
	Properties map[string]property `json:"properties"`
	Required   []string            `json:"required"`
	MapType    string              `json:"x-kubernetes-map-type"`
}

// The OpenAPI v3 documents first; for group versions that 1.36 no longer serves, the apply configurations' schema.
func readTopology(kubernetesDir, clientDir string) topology {
	out := topology{map[string][]string{}, map[string]bool{}}
	documents, err := filepath.Glob(kubernetesDir + "/api/openapi-spec/v3/*.json")
	must(err)
	known := map[string]bool{}
	for _, path := range documents {
		var document struct {
			Components struct{ Schemas map[string]definition }
		}
		text, err := os.ReadFile(path)
		must(err)
		must(json.Unmarshal(text, &document))
		for full, d := range document.Components.Schemas {
			if known[full] {
				continue
			}
			known[full] = true
			if d.MapType == "atomic" {
				out.atomic[full] = true
			}
			for field, p := range d.Properties {
				out.fields[full+" "+field] = p.words(contains(d.Required, field))
			}
		}
	}
	out.readApplyConfigurations(clientDir, known)
	return out
}

func (p property) words(required bool) []string {
	var out []string
	if required {
		out = append(out, "required")
	}
	switch p.ListType {
	case "":
	case "map":
		out = append(out, "list=map:"+strings.Join(p.Keys, ","))
	default:
		out = append(out, "list="+p.ListType)
	}
	if p.MapType != "" {
		out = append(out, "map="+p.MapType)
	}
	if word := defaultWord(p.Default); word != "" {
		out = append(out, word)
	}
	return out
}

// Go's zero values are what is there anyway.
func defaultWord(value any) string {
	switch v := value.(type) {
	case nil, map[string]any:
		return ""
	case string:
		if v == "" {
			return ""
		}
	case float64:
		if v == 0 {
			return ""
		}
	case bool:
		if !v {
			return ""
		}
	}
	text, err := json.Marshal(value)
	must(err)
	return "default=" + string(text)
}

type applyType struct {
	List *struct {
		ElementRelationship string   `json:"elementRelationship"`
		Keys                []string `json:"keys"`
	} `json:"list"`
	Map *struct {
		ElementRelationship string `json:"elementRelationship"`
		Fields              []struct {
			Name    string    `json:"name"`
			Type    applyType `json:"type"`
			Default any       `json:"default"`
		} `json:"fields"`
	} `json:"map"`
}

func (t topology) readApplyConfigurations(clientDir string, known map[string]bool) {
	source, err := os.ReadFile(clientDir + "/applyconfigurations/internal/internal.go")
	must(err)
	text := regexp.MustCompile("(?s)YAMLObject\\(`(.*?)`\\)").FindSubmatch(source)[1]
	var document struct {
		Types []struct {
			Name string `json:"name"`
			applyType
		} `json:"types"`
	}
	must(yaml.Unmarshal(text, &document))
	for _, d := range document.Types {
		if known[d.Name] || d.Map == nil {
			continue
		}
		if d.Map.ElementRelationship == "atomic" {
			t.atomic[d.Name] = true
		}
		for _, field := range d.Map.Fields {
			p := property{Default: field.Default}
			if list := field.Type.List; list != nil {
				switch {
				case list.ElementRelationship == "atomic":
					p.ListType = "atomic"
				case len(list.Keys) > 0:
					p.ListType, p.Keys = "map", list.Keys
				default:
					p.ListType = "set"
				}
			}
			if field.Type.Map != nil && field.Type.Map.ElementRelationship == "atomic" {
				p.MapType = "atomic"
			}
			t.fields[d.Name+" "+field.Name] = p.words(false)
		}
	}
}

func contains(list []string, word string) bool {
	for _, each := range list {
		if each == word {
			return true
		}
	}
	return false
}
