package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"os"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// The columns that upstream's server prints each kind with, read out of the source of its printers: a definition is a list
// of literals, and the function that prints a row tells the kind by the type of its first parameter.
type printers struct {
	imports     map[string]string            // path by name
	definitions map[string][]ast.Expr        // columns by variable
	handlers    map[string]string            // variable by printing function
	functions   map[string]*ast.FuncDecl     // by name
	docs        map[string]map[string]string // field docs by package path and type
}

func columnTable(kubernetesDir string, scheme *runtime.Scheme) string {
	file, err := parser.ParseFile(token.NewFileSet(), kubernetesDir+"/pkg/printers/internalversion/printers.go", nil, 0)
	must(err)
	p := &printers{map[string]string{}, map[string][]ast.Expr{}, map[string]string{}, map[string]*ast.FuncDecl{}, fieldDocs(scheme)}
	for _, each := range file.Imports {
		path, err := strconv.Unquote(each.Path.Value)
		must(err)
		name := path[strings.LastIndexByte(path, '/')+1:]
		if each.Name != nil {
			name = each.Name.Name
		}
		p.imports[name] = path
	}
	ast.Inspect(file, p.see)
	var rows []string
	for function, variable := range p.handlers {
		group, kind := p.kindOf(function, kubernetesDir)
		if strings.HasSuffix(kind, "List") && kind != "List" {
			continue // prints the elements with the same columns
		}
		row := fmt.Sprintf("table %s %s\n", group, kind)
		for _, column := range p.definitions[variable] {
			row += p.column(column.(*ast.CompositeLit))
		}
		rows = append(rows, row)
	}
	// What k8s.io/kubernetes' printers do not have: the default of apiserver's registry/rest, and kube-aggregator's own.
	rows = append(rows, "table * *\n string name 0 \"Name\" @name\n date - 0 \"Created At\" @creationTimestamp\n")
	rows = append(rows, "table apiregistration.k8s.io APIService\n string name 0 \"Name\" @name\n"+
		" string - 0 \"Service\" \"The reference to the service that hosts this API endpoint.\"\n"+
		" string - 0 \"Available\" \"Whether this service is available.\"\n string - 0 \"Age\" @creationTimestamp\n")
	sort.Strings(rows)
	meta := metav1.ObjectMeta{}.SwaggerDoc()
	head := fmt.Sprintf("say name %q\nsay creationTimestamp %q\n", meta["name"], meta["creationTimestamp"])
	return head + strings.Join(rows, "")
}

func (p *printers) see(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.FuncDecl:
		p.functions[n.Name.Name] = n
	case *ast.AssignStmt:
		if literal, ok := n.Rhs[0].(*ast.CompositeLit); ok && len(n.Rhs) == 1 {
			if variable, ok := n.Lhs[0].(*ast.Ident); ok && strings.HasSuffix(strings.ToLower(variable.Name), "columndefinitions") {
				p.definitions[variable.Name] = literal.Elts
			}
		}
	case *ast.CallExpr:
		if selector, ok := n.Fun.(*ast.SelectorExpr); ok && selector.Sel.Name == "TableHandler" {
			p.handlers[n.Args[1].(*ast.Ident).Name] = n.Args[0].(*ast.Ident).Name
		}
	}
	return true
}

func (p *printers) kindOf(function, kubernetesDir string) (group, kind string) {
	parameter := p.functions[function].Type.Params.List[0].Type.(*ast.StarExpr).X.(*ast.SelectorExpr)
	path := p.imports[parameter.X.(*ast.Ident).Name]
	if !strings.HasPrefix(path, "k8s.io/kubernetes/") {
		return "*", parameter.Sel.Name // Status
	}
	source, err := os.ReadFile(kubernetesDir + strings.TrimPrefix(path, "k8s.io/kubernetes") + "/register.go")
	must(err)
	group = string(regexp.MustCompile(`GroupName = "(.*)"`).FindSubmatch(source)[1])
	if group == "" {
		group = "core"
	}
	return group, parameter.Sel.Name
}

func (p *printers) column(of *ast.CompositeLit) string {
	var name, kind, format, description string
	priority := "0"
	for _, element := range of.Elts {
		pair := element.(*ast.KeyValueExpr)
		switch pair.Key.(*ast.Ident).Name {
		case "Name":
			name = text(pair.Value)
		case "Type":
			kind = text(pair.Value)
		case "Format":
			format = text(pair.Value)
		case "Priority":
			priority = pair.Value.(*ast.BasicLit).Value
		case "Description":
			description = p.description(pair.Value)
		default:
			log.Panicf("a column has a %s", pair.Key)
		}
	}
	if format == "" {
		format = "-"
	}
	return fmt.Sprintf(" %s %s %s %q %s\n", kind, format, priority, name, description)
}

func text(expression ast.Expr) string {
	value, err := strconv.Unquote(expression.(*ast.BasicLit).Value)
	must(err)
	return value
}

// A literal, or the documentation of a field: `v1.PodStatus{}.SwaggerDoc()["podIP"]`.
func (p *printers) description(expression ast.Expr) string {
	index, ok := expression.(*ast.IndexExpr)
	if !ok {
		return strconv.Quote(text(expression))
	}
	field := text(index.Index)
	said := index.X.(*ast.CallExpr).Fun.(*ast.SelectorExpr).X
	literal, ok := said.(*ast.CompositeLit)
	if !ok {
		if said.(*ast.SelectorExpr).Sel.Name != "InvolvedObject" {
			log.Panicf("documentation of a field %s", said.(*ast.SelectorExpr).Sel.Name)
		}
		return strconv.Quote(p.docs["k8s.io/api/core/v1.ObjectReference"][field])
	}
	of := literal.Type.(*ast.SelectorExpr)
	path := p.imports[of.X.(*ast.Ident).Name]
	if of.Sel.Name == "ObjectMeta" && (field == "name" || field == "creationTimestamp") {
		return "@" + field // of most tables; other fields are upstream's slips, and empty
	}
	docs, ok := p.docs[path+"."+of.Sel.Name]
	if !ok {
		log.Panicf("no documentation of %s.%s", path, of.Sel.Name)
	}
	return strconv.Quote(docs[field])
}

// What each type says of its fields, of all types that a kind leads to.
func fieldDocs(scheme *runtime.Scheme) map[string]map[string]string {
	docs := map[string]map[string]string{}
	var see func(t reflect.Type)
	see = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			see(t.Elem())
		case reflect.Struct:
			name := t.PkgPath() + "." + t.Name()
			if _, seen := docs[name]; seen {
				return
			}
			docs[name] = map[string]string{}
			if documented, ok := reflect.New(t).Interface().(interface{ SwaggerDoc() map[string]string }); ok {
				docs[name] = documented.SwaggerDoc()
			}
			for i := 0; i < t.NumField(); i++ {
				see(t.Field(i).Type)
			}
		}
	}
	for _, goType := range scheme.AllKnownTypes() {
		see(goType)
	}
	return docs
}
