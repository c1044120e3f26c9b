// Command generate writes the schema table, the resource table and the fixtures of the crate fairlead-api.
//
// It reflects over upstream's own Go types, reads upstream's published OpenAPI and discovery documents, and encodes a
// filled object of every kind with upstream's own code. Run by hand from this folder, with Go 1.26:
//
//	go run . -kubernetes v1.36.3
//
// It writes ../schema.txt, ../resources.txt, ../columns.txt and all of ../../tests/fixtures. Nothing in the build or the tests needs Go.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	apidiscoveryv2beta1 "k8s.io/api/apidiscovery/v2beta1"
	imagepolicyv1alpha1 "k8s.io/api/imagepolicy/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// A kind that the table knows: where it is registered and the Go type behind it.
type kind struct {
	schema.GroupVersionKind
	// Registered alike in every group version: DeleteOptions, WatchEvent and the like.
	everywhere bool
}

func newScheme() *runtime.Scheme {
	scheme := clientscheme.Scheme
	for _, add := range []func(*runtime.Scheme) error{
		admissionv1.AddToScheme, apidiscoveryv2.AddToScheme, apidiscoveryv2beta1.AddToScheme,
		imagepolicyv1alpha1.AddToScheme, apiextensionsv1.AddToScheme, apiextensionsv1beta1.AddToScheme, apiregistrationv1.AddToScheme, metav1.AddMetaToScheme,
	} {
		must(add(scheme))
	}
	return scheme
}

// Every kind but the internal ones, sorted; those of meta/v1 once, under meta.k8s.io/v1.
func kinds(scheme *runtime.Scheme) []kind {
	var out []kind
	seen := map[string]bool{}
	for gvk, goType := range scheme.AllKnownTypes() {
		if gvk.Version == runtime.APIVersionInternal {
			continue
		}
		k := kind{GroupVersionKind: gvk}
		if strings.HasSuffix(goType.PkgPath(), "/meta/v1") {
			if seen[gvk.Kind] {
				continue
			}
			seen[gvk.Kind] = true
			k = kind{schema.GroupVersionKind{Group: "meta.k8s.io", Version: "v1", Kind: gvk.Kind}, true}
		}
		out = append(out, k)
	}
	sort.Slice(out, func(i, j int) bool { return less(out[i].GroupVersionKind, out[j].GroupVersionKind) })
	return out
}

func less(a, b schema.GroupVersionKind) bool {
	if a.Group != b.Group {
		return a.Group < b.Group
	}
	if a.Version != b.Version {
		return a.Version < b.Version
	}
	return a.Kind < b.Kind
}

func (k kind) new(scheme *runtime.Scheme) runtime.Object {
	gvk := k.GroupVersionKind
	if k.everywhere {
		// Table and its like are registered under meta.k8s.io only, options and Status also under v1.
		if !scheme.Recognizes(gvk) {
			gvk.Group = ""
		}
	}
	object, err := scheme.New(gvk)
	must(err)
	return object
}

// The folder of a module at a version, fetched and checked by the go command.
func moduleDir(module, version string) string {
	out, err := exec.Command("go", "mod", "download", "-json", module+"@"+version).Output()
	must(err)
	var found struct{ Dir string }
	must(json.Unmarshal(out, &found))
	return found.Dir
}

func main() {
	log.SetFlags(0)
	kubernetes := flag.String("kubernetes", "v1.36.3", "release of k8s.io/kubernetes whose published documents are read")
	client := flag.String("client-go", "v0.36.4", "release of k8s.io/client-go whose apply configurations are read")
	flag.Parse()

	kubernetesDir := moduleDir("k8s.io/kubernetes", *kubernetes)
	scheme := newScheme()
	all := kinds(scheme)
	topology := readTopology(kubernetesDir, moduleDir("k8s.io/client-go", *client))

	head := "# Made by table/generate from k8s.io/api, apimachinery, apiextensions-apiserver, kube-aggregator and client-go " +
		*client + "\n# and the documents published with k8s.io/kubernetes " + *kubernetes + ". Do not edit: run it again.\n"
	write("../schema.txt", head+schemaTable(scheme, all, topology))
	write("../resources.txt", head+resourceTable(kubernetesDir))
	write("../columns.txt", head+columnTable(kubernetesDir, scheme))
	writeGolden("../../tests/fixtures")
	writeFixtures("../../tests/fixtures/kinds.gz", scheme, all)
}

func write(path, text string) {
	must(os.MkdirAll(filepath.Dir(path), 0o755))
	must(os.WriteFile(path, []byte(text), 0o644))
}

func must(err error) {
	if err != nil {
		log.Panic(err)
	}
}
