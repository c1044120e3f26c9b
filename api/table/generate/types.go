package main

import (
	"fmt"
	"log"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
)

// Types whose JSON or protobuf form is not that of their fields; the crate has a codec for each.
var codecs = map[string]bool{
	"io.k8s.apimachinery.pkg.api.resource.Quantity":                                              true,
	"io.k8s.apimachinery.pkg.apis.meta.v1.Time":                                                  true,
	"io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime":                                             true,
	"io.k8s.apimachinery.pkg.apis.meta.v1.Duration":                                              true,
	"io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1":                                              true,
	"io.k8s.apimachinery.pkg.runtime.RawExtension":                                               true,
	"io.k8s.apimachinery.pkg.util.intstr.IntOrString":                                            true,
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON":                              true,
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1beta1.JSON":                         true,
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool":             true,
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1beta1.JSONSchemaPropsOrBool":        true,
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray":            true,
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1beta1.JSONSchemaPropsOrArray":       true,
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray":      true,
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1beta1.JSONSchemaPropsOrStringArray": true,
}

type table struct {
	topology topology
	seen     map[reflect.Type]string // the lines of each type
	noProto  map[reflect.Type]bool
}

// OpenAPI's name of a type: the one it tells, else its package path turned around as OpenAPI does.
func name(t reflect.Type) string {
	if named, ok := reflect.New(t).Interface().(interface{ OpenAPIModelName() string }); ok {
		return named.OpenAPIModelName()
	}
	path := t.PkgPath()
	if !strings.HasPrefix(path, "k8s.io/") {
		log.Panicf("type %s of a foreign package", t)
	}
	return strings.ReplaceAll("io.k8s."+strings.TrimPrefix(path, "k8s.io/"), "/", ".") + "." + t.Name()
}

// The same for any type; empty for one without a name or of a foreign package.
func nameIfAny(t reflect.Type) string {
	if !strings.HasPrefix(t.PkgPath(), "k8s.io/") {
		return ""
	}
	return name(t)
}

func split(name string) (pkg, base string) {
	at := strings.LastIndexByte(name, '.')
	return name[:at], name[at+1:]
}

// A type as Go writes it, names relative to the package of the type that uses it.
func (t *table) expression(of reflect.Type, from string) string {
	if of.PkgPath() != "" {
		t.add(of)
		pkg, base := split(name(of))
		if pkg == from {
			return base
		}
		return pkg + "." + base
	}
	switch of.Kind() {
	case reflect.Pointer:
		return "*" + t.expression(of.Elem(), from)
	case reflect.Slice:
		if of.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "[]" + t.expression(of.Elem(), from)
	case reflect.Map:
		if of.Key().Kind() != reflect.String {
			log.Panicf("map with keys of %s", of.Key())
		}
		return "map[string]" + t.expression(of.Elem(), from)
	case reflect.Interface:
		return "any"
	case reflect.Bool, reflect.String, reflect.Int32, reflect.Int64, reflect.Float64:
		return of.Kind().String()
	}
	log.Panicf("no expression for %s", of)
	return ""
}

func (t *table) add(of reflect.Type) {
	if _, ok := t.seen[of]; ok {
		return
	}
	t.seen[of] = "" // recursion ends here
	full := name(of)
	pkg, base := split(full)
	if goName := strings.ReplaceAll(of.String(), "-", "_"); goName != goNameOf(full) {
		log.Panicf("%s prints as %s, not as %s", full, goName, goNameOf(full))
	}
	line := "type " + base
	switch {
	case codecs[full]:
		t.seen[of] = line + " codec\n"
	case of.Kind() != reflect.Struct:
		t.seen[of] = line + " = " + t.underlying(of, pkg) + "\n"
	default:
		if t.noProto[of] || !marshals(of) {
			line += " noproto"
		}
		if t.topology.atomic[full] {
			line += " atomic"
		}
		t.seen[of] = line + "\n" + t.fields(of, full, pkg)
	}
}

// The last two words of a name, as Go's %T prints a type.
func goNameOf(full string) string {
	words := strings.Split(full, ".")
	return strings.Join(words[len(words)-2:], ".")
}

func marshals(of reflect.Type) bool {
	_, ok := reflect.New(of).Interface().(interface{ Marshal() ([]byte, error) })
	return ok
}

func (t *table) underlying(of reflect.Type, pkg string) string {
	items := ""
	if marshals(of) {
		items = " items" // a message with the elements as its first field
	}
	switch of.Kind() {
	case reflect.Slice:
		return "[]" + t.expression(of.Elem(), pkg) + items
	case reflect.Map:
		return "map[string]" + t.expression(of.Elem(), pkg) + items
	case reflect.Bool, reflect.String, reflect.Int32, reflect.Int64, reflect.Float64:
		return of.Kind().String()
	}
	log.Panicf("named type %s", of)
	return ""
}

func (t *table) fields(of reflect.Type, full, pkg string) string {
	var out strings.Builder
	for i := 0; i < of.NumField(); i++ {
		field := of.Field(i)
		if !field.IsExported() {
			continue
		}
		jsonName, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if jsonName == "-" {
			continue // fields of the types with codecs, and TableOptions' settings of a printer
		}
		words := []string{jsonName, t.expression(field.Type, pkg), protobufTag(field, full)}
		has := func(option string) bool { return strings.Contains(","+options+",", ","+option+",") }
		switch {
		case field.Anonymous && jsonName == "":
			if field.Type.Kind() != reflect.Struct {
				log.Panicf("%s.%s is embedded and no struct", full, field.Name)
			}
			words[0] = "."
		case jsonName == "":
			words[0] = field.Name
		}
		if has("string") {
			log.Panicf("%s.%s is quoted", full, field.Name)
		}
		for _, option := range []string{"omitempty", "omitzero"} {
			if has(option) {
				words = append(words, option)
			}
		}
		if strategy := field.Tag.Get("patchStrategy"); strategy != "" {
			words = append(words, "patch="+strategy)
		}
		if key := field.Tag.Get("patchMergeKey"); key != "" {
			words = append(words, "key="+key)
		}
		words = append(words, t.topology.words(full, words[0])...)
		out.WriteString(" " + strings.Join(words, " ") + "\n")
	}
	return out.String()
}

// The number of a field in its message, or "-". The wire kind in the tag is not looked at: it is wrong here and there, and
// upstream's generated code goes by the Go type.
func protobufTag(field reflect.StructField, full string) string {
	tag := field.Tag.Get("protobuf")
	if tag == "" || tag == "-" {
		return "-"
	}
	words := strings.Split(tag, ",")
	if _, err := strconv.Atoi(words[1]); err != nil {
		log.Panicf("%s.%s: %s", full, field.Name, tag)
	}
	return words[1]
}

func schemaTable(scheme *runtime.Scheme, all []kind, topology topology) string {
	t := &table{topology: topology, seen: map[reflect.Type]string{}, noProto: map[reflect.Type]bool{}}
	var kindLines strings.Builder
	for _, k := range all {
		of := reflect.TypeOf(k.new(scheme)).Elem()
		t.add(of)
		where := k.Group + "/" + k.Version
		if k.Group == "" {
			where = k.Version
		}
		if k.everywhere {
			where = "*"
		}
		fmt.Fprintf(&kindLines, "kind %s %s %s\n", where, k.Kind, name(of))
	}
	lines := map[string]string{}
	var names []string
	for of, text := range t.seen {
		lines[name(of)] = text
		names = append(names, name(of))
	}
	sort.Strings(names)
	var out strings.Builder
	last := ""
	for _, full := range names {
		if pkg, _ := split(full); pkg != last {
			out.WriteString("package " + pkg + "\n")
			last = pkg
		}
		out.WriteString(lines[full])
	}
	return out.String() + kindLines.String()
}
