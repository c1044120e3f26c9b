package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"log"
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/intstr"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Strings that each have a trap: for JSON's escapes, for HTML's, for YAML's implicit types and indicators, for folding.
var texts = []string{
	"plain", "two words", "yes", "~", "0x1f", "1e3", "012", "12.50", "2001-02-03", "- dash", "a: b", "a #b", "#c", " lead", "trail ",
	"it's", `"quoted"`, "back\\slash", "tab\there", "line\nbreak\n", "line\n\n two\n", "<html> & co", "snowman ☃ 😀", "bell\a",
	"{brace", "[bracket", "%percent", "@at", "*star", "&and", "!bang", "|pipe", ">more", "? question", ":colon", "null", "True", "off", ".inf", "=",
	"1_000", "1:30", "0o17", "long text that goes on and on beyond the eighty columns where many an emitter would like to fold it into two lines",
	"é", "-", "--- x", "a,b", "key: |", "'", "crlf\r\n", "ends with colon:", "trailing\n\n", "\ttab first", "<<", "y", "N", "+1", "0b11",
}

var quantities = []string{"100m", "1", "2Gi", "1500Mi", "0", "0.5", "1e3", "12345678901234567890", "3.14159", "1.5Gi", "-2k", "10E"}

// Fills values; a seed decides which fields of the variant "some" are there.
type filler struct {
	random *rand.Rand
	next   int
	stack  map[reflect.Type]int
	// full: all; zeros: pointers to zeros, lists and maps of one zero; some: a random half of full.
	variant string
}

func (f *filler) count() int { f.next++; return f.next }

func (f *filler) fill(v reflect.Value) {
	if f.special(v) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		t := v.Type()
		f.stack[t]++
		defer func() { f.stack[t]-- }()
		for i := 0; i < v.NumField(); i++ {
			if !t.Field(i).IsExported() || t.Field(i).Tag.Get("json") == "-" || t.Field(i).Type == reflect.TypeOf(metav1.TypeMeta{}) {
				continue
			}
			embedded := t.Field(i).Anonymous
			if f.variant == "some" && !embedded && f.random.Intn(2) == 0 {
				continue
			}
			f.fill(v.Field(i))
		}
	case reflect.Pointer:
		if f.deep(v.Type().Elem()) {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		f.slice(v)
	case reflect.Map:
		if f.deep(v.Type().Elem()) {
			return
		}
		v.Set(reflect.MakeMap(v.Type()))
		for i := 0; i < f.length(v.Type().Elem()); i++ {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			key.SetString(fmt.Sprintf("key-%d", 12-i))
			f.fill(value)
			v.SetMapIndex(key, value)
		}
	case reflect.Interface:
		if cell := []any{"cell", int64(7), true, nil, 1.5}[f.count()%5]; cell != nil {
			v.Set(reflect.ValueOf(cell))
		}
	default:
		f.scalar(v)
	}
}

func (f *filler) deep(t reflect.Type) bool { return f.stack[t] >= 2 }

func (f *filler) length(t reflect.Type) int {
	if f.variant == "zeros" {
		return 1
	}
	if f.variant == "some" {
		return f.random.Intn(3)
	}
	if t.Kind() == reflect.Struct && len(f.stack) > 2 {
		return 1
	}
	return 2
}

func (f *filler) slice(v reflect.Value) {
	of := v.Type().Elem()
	if of.Kind() == reflect.Uint8 {
		if f.variant == "zeros" {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		} else {
			v.SetBytes([]byte(fmt.Sprintf("bytes\x00\xff %d", f.count())))
		}
		return
	}
	if f.deep(of) || of.Kind() == reflect.Pointer && f.deep(of.Elem()) {
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 2))
	for i := 0; i < f.length(of); i++ {
		element := reflect.New(of).Elem()
		f.fill(element)
		v.Set(reflect.Append(v, element))
	}
}

func (f *filler) scalar(v reflect.Value) {
	if f.variant == "zeros" {
		return
	}
	n := f.count()
	switch v.Kind() {
	case reflect.String:
		v.SetString(texts[n%len(texts)])
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32:
		v.SetInt(int64([]int32{int32(n), -1, 1<<31 - 1, -1 << 31}[n%4]))
	case reflect.Int64:
		v.SetInt([]int64{int64(n), 1<<63 - 1, -1 << 63, 300}[n%4])
	case reflect.Float64:
		v.SetFloat([]float64{0.1, 1e21, 1e-7, 12345678, -2.5, 3e300}[n%6])
	default:
		log.Panicf("cannot fill %s", v.Type())
	}
}

// The types with codecs of their own; in "zeros" they keep their zero, but for those whose zero upstream cannot encode.
func (f *filler) special(v reflect.Value) bool {
	zeros := f.variant == "zeros"
	n := f.count()
	switch p := v.Addr().Interface().(type) {
	case *metav1.Time:
		if !zeros {
			*p = metav1.Unix(1_000_000_000+int64(n)*86_399, 0)
		}
	case *metav1.MicroTime:
		if !zeros {
			*p = metav1.NewMicroTime(time.Unix(1_000_000_000+int64(n)*86_399, int64(n)*1_001_000))
		}
	case *metav1.Duration:
		if !zeros {
			p.Duration = []time.Duration{time.Duration(n) * time.Second, 90 * time.Minute, 1500 * time.Microsecond, -3 * time.Hour, 7}[n%5]
		}
	case *resource.Quantity:
		if !zeros {
			*p = resource.MustParse(quantities[n%len(quantities)])
		}
	case *intstr.IntOrString:
		if !zeros {
			*p = []intstr.IntOrString{intstr.FromInt32(int32(n)), intstr.FromString("25%"), intstr.FromString("http")}[n%3]
		}
	case *metav1.FieldsV1:
		if !zeros {
			p.SetRawString(`{"f:spec":{".":{},"k:{\"name\":\"a\"}":{"f:image":{}}}}`)
		}
	case *runtime.RawExtension:
		if !zeros {
			p.Raw = []byte(`{"kind":"Any","apiVersion":"v1","z":[1,2.50,"x"],"a":{"b":null}}`)
		}
	default:
		return f.schemaPart(v, n)
	}
	return true
}

// apiextensions' types with codecs, alike in v1 and v1beta1.
func (f *filler) schemaPart(v reflect.Value, n int) bool {
	if !codecs[nameIfAny(v.Type())] {
		return false
	}
	zeros := f.variant == "zeros"
	field := v.FieldByName
	set := func(name string) reflect.Value {
		field(name).Set(reflect.New(field(name).Type().Elem()))
		return field(name).Elem()
	}
	switch v.Type().Name() {
	case "JSON":
		raw := []string{`{"z":1,"a":[true,1.0]}`, `"text"`, `12`}[n%3]
		if zeros {
			raw = `{}`
		}
		field("Raw").SetBytes([]byte(raw))
	case "JSONSchemaPropsOrBool":
		field("Allows").SetBool(true)
		if !zeros && n%2 == 1 && !f.deep(field("Schema").Type().Elem()) {
			f.fill(set("Schema"))
		}
	case "JSONSchemaPropsOrArray":
		if of := field("JSONSchemas"); zeros || f.deep(of.Type().Elem()) {
			set("Schema")
		} else {
			of.Set(reflect.MakeSlice(of.Type(), 1, 1))
			f.fill(of.Index(0))
		}
	case "JSONSchemaPropsOrStringArray":
		if zeros {
			set("Schema")
		} else {
			field("Property").Set(reflect.ValueOf([]string{"a", "b"}))
		}
	default:
		log.Panicf("cannot fill %s", v.Type())
	}
	return true
}

// A record: a line with the kind, the variant and the lengths of the parts, then the parts: JSON, protobuf, YAML, and, each
// empty where it is the same again, JSON out of JSON, protobuf out of JSON, JSON out of protobuf, protobuf out of protobuf,
// JSON out of YAML (an empty list is none in protobuf, a pointer to a zero time is none in JSON).
func writeFixtures(path string, scheme *runtime.Scheme, all []kind) {
	var plain bytes.Buffer
	proto := protobuf.NewSerializer(scheme, scheme)
	for i, k := range all {
		for _, variant := range []string{"empty", "full", "zeros", "some"} {
			object := k.new(scheme)
			if variant != "empty" {
				f := &filler{random: rand.New(rand.NewSource(int64(i))), next: i, stack: map[reflect.Type]int{}, variant: variant}
				f.fill(reflect.ValueOf(object).Elem())
			}
			gvk := k.GroupVersionKind
			writeRecord(&plain, scheme, proto, object, gvk, variant)
		}
	}
	must(os.MkdirAll(filepath.Dir(path), 0o755))
	file, err := os.Create(path)
	must(err)
	compressed, err := gzip.NewWriterLevel(file, gzip.BestCompression)
	must(err)
	_, err = compressed.Write(plain.Bytes())
	must(err)
	must(compressed.Close())
	must(file.Close())
	log.Printf("fixtures: %d kinds, %d bytes plain", len(all), plain.Len())
}

func writeRecord(out *bytes.Buffer, scheme *runtime.Scheme, proto *protobuf.Serializer, object runtime.Object, gvk schema.GroupVersionKind, variant string) {
	object.GetObjectKind().SetGroupVersionKind(gvk)
	text := encodeJSON(object)
	readable, err := yaml.JSONToYAML(text)
	must(err)
	fresh := func() runtime.Object { return reflect.New(reflect.TypeOf(object).Elem()).Interface().(runtime.Object) }
	changed := func(was, is []byte) []byte {
		if bytes.Equal(was, is) {
			return nil
		}
		return is
	}
	fromJSON := fresh()
	must(kjson.UnmarshalCaseSensitivePreserveInts(text, fromJSON))
	alike, err := yaml.YAMLToJSON(readable)
	must(err)
	fromYAML := fresh()
	must(kjson.UnmarshalCaseSensitivePreserveInts(alike, fromYAML))
	var wire, wireAgain, textFromWire, wireFromText []byte
	if _, ok := object.(interface{ Marshal() ([]byte, error) }); ok {
		wire = encodeProto(proto, object)
		fromWire := fresh()
		unknown := runtime.Unknown{}
		must(unknown.Unmarshal(wire[4:]))
		must(fromWire.(interface{ Unmarshal([]byte) error }).Unmarshal(unknown.Raw))
		fromWire.GetObjectKind().SetGroupVersionKind(gvk)
		wireAgain = changed(wire, encodeProto(proto, fromWire))
		textFromWire = changed(text, encodeJSON(fromWire))
		wireFromText = changed(wire, encodeProto(proto, fromJSON))
	}
	parts := [][]byte{text, wire, readable, changed(text, encodeJSON(fromJSON)), wireFromText, textFromWire, wireAgain, changed(text, encodeJSON(fromYAML))}
	fmt.Fprintf(out, "%s %s %s", strings.TrimPrefix(gvk.GroupVersion().String(), "/"), gvk.Kind, variant)
	for _, part := range parts {
		fmt.Fprintf(out, " %d", len(part))
	}
	out.WriteByte('\n')
	for _, part := range parts {
		out.Write(part)
	}
}

func encodeProto(proto *protobuf.Serializer, object runtime.Object) []byte {
	var out bytes.Buffer
	must(proto.Encode(object, &out))
	return out.Bytes()
}

func encodeJSON(object runtime.Object) []byte {
	var out bytes.Buffer
	must(json.NewEncoder(&out).Encode(object))
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
