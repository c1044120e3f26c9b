package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

type discovered struct {
	GroupVersion string `json:"groupVersion"`
	Resources    []struct {
		Name               string   `json:"name"`
		SingularName       string   `json:"singularName"`
		Namespaced         bool     `json:"namespaced"`
		Group              string   `json:"group"`
		Version            string   `json:"version"`
		Kind               string   `json:"kind"`
		Verbs              []string `json:"verbs"`
		ShortNames         []string `json:"shortNames"`
		Categories         []string `json:"categories"`
		StorageVersionHash string   `json:"storageVersionHash"`
	} `json:"resources"`
}

// Where and as which version upstream stores a resource.
type stored struct{ prefix, version string }

// One line a resource, one indented line a subresource, as the published discovery documents of a server with all APIs on.
func resourceTable(kubernetesDir string) string {
	documents, err := filepath.Glob(kubernetesDir + "/api/discovery/*.json")
	must(err)
	places := readPlaces(kubernetesDir)
	var out strings.Builder
	sort.Strings(documents)
	for _, path := range documents {
		var document discovered
		text, err := os.ReadFile(path)
		must(err)
		must(json.Unmarshal(text, &document))
		for _, r := range document.Resources {
			resource, sub, isSub := strings.Cut(r.Name, "/")
			kind := r.Kind
			if r.Version != "" {
				kind = strings.TrimPrefix(r.Group+"/"+r.Version, "/") + "." + kind
			}
			if isSub {
				fmt.Fprintf(&out, " %s %s verbs=%s\n", sub, kind, strings.Join(r.Verbs, ","))
				continue
			}
			scope := "cluster"
			if r.Namespaced {
				scope = "namespaced"
			}
			words := []string{"resource", document.GroupVersion, resource, r.SingularName, kind, scope, "verbs=" + strings.Join(r.Verbs, ",")}
			for key, value := range map[string][]string{"short": r.ShortNames, "categories": r.Categories} {
				if len(value) > 0 {
					words = append(words, key+"="+strings.Join(value, ","))
				}
			}
			sort.Strings(words[7:])
			if place, ok := places[document.GroupVersion+" "+resource]; ok {
				words = append(words, "key="+place.prefix, "storage="+place.version, "hash="+r.StorageVersionHash)
			} else if r.StorageVersionHash != "" {
				log.Panicf("%s %s is stored, but where?", document.GroupVersion, resource)
			}
			out.WriteString(strings.Join(words, " ") + "\n")
		}
	}
	return out.String()
}

// Upstream's table of storage paths, which its own test proves against a server.
func readPlaces(kubernetesDir string) map[string]stored {
	source, err := os.ReadFile(kubernetesDir + "/test/integration/etcd/data.go")
	must(err)
	entry := regexp.MustCompile(`(?s)gvr\("([^"]*)", "([^"]*)", "([^"]*)"\): \{(.*?)\n\t\t\}`)
	path := regexp.MustCompile(`ExpectedEtcdPath:\s*"/registry/(.*?)/?("|[^/"]*",)`)
	expected := regexp.MustCompile(`ExpectedGVK:\s*gvkP\("([^"]*)", "([^"]*)", "[^"]*"\)`)
	out := map[string]stored{}
	for _, found := range entry.FindAllStringSubmatch(string(source), -1) {
		group, version, resource, body := found[1], found[2], found[3], found[4]
		at := path.FindStringSubmatch(body)
		if at == nil {
			log.Panicf("no path for %s", resource)
		}
		groupVersion := strings.TrimPrefix(group+"/"+version, "/")
		place := stored{at[1], groupVersion}
		if other := expected.FindStringSubmatch(body); other != nil {
			place.version = strings.TrimPrefix(other[1]+"/"+other[2], "/")
		}
		out[groupVersion+" "+resource] = place
	}
	return out
}
