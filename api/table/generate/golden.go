package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// What upstream's parsers say of texts, one row each: the canonical form, or the error.
func writeGolden(dir string) {
	write(dir+"/quantities.txt", quantityRows())
	write(dir+"/times.txt", timeRows())
	write(dir+"/selectors.txt", selectorRows())
	write(dir+"/floats.txt", floatRows())
}

func row(out *strings.Builder, text, printed string, err error) {
	if err != nil {
		printed = "error: " + err.Error()
	}
	fmt.Fprintf(out, "%s => %s\n", text, printed)
}

func quantityRows() string {
	numbers := []string{
		"0", "1", "+1", "-1", "00", "007", "1.", ".5", "0.5", "-0.5", "1.5", "1000", "1024", "1500", "2048", "12000", "0.001", "0.0001",
		"1.000000001", "0.0000000001", "-0.0000000001", "0.9999999999", "123456789", "999999999999999999", "9223372036854775807",
		"9223372036854775808", "12345678901234567890", "-12345678901234567890", "100000000000000000000000", "1.23456789012345678901",
		"1023", "-1024", "8", "9", "16", "10.10",
	}
	suffixes := []string{"", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E3", "e-3", "e+6", "e0", "e2", "e18", "e21", "e-10", "e1000"}
	var out strings.Builder
	for _, number := range numbers {
		for _, suffix := range suffixes {
			q, err := resource.ParseQuantity(number + suffix)
			row(&out, number+suffix, q.String(), err)
		}
	}
	for _, text := range []string{"", "+", "-", ".", "abc", "1x", "1K", "1ki", "1e", "1e+", "1 ", "1..2", "1.2.3", "--1", "0x10", "1e99999999999999999999", "m", "é", "1é", "1Kib", "1e1e1", "1m1", "1,5"} {
		q, err := resource.ParseQuantity(text)
		row(&out, text, q.String(), err)
	}
	return out.String()
}

func timeRows() string {
	var out strings.Builder
	for _, text := range []string{
		"2026-11-25T16:00:00Z", "2026-11-25T16:00:00.123456789Z", "2026-11-25T16:00:00.123456Z", "2026-11-25T16:00:00,5Z", "2026-11-25T16:00:00+02:00",
		"2026-11-25T16:00:00-07:30", "2026-11-25T6:00:00Z", "2024-02-29T00:00:00Z", "2023-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
		"2026-01-32T00:00:00Z", "2026-04-31T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z",
		"2026-01-01T00:00:00", "2026-01-01T00:00:00z", "2026-01-01t00:00:00Z", "2026-01-01 00:00:00Z", "2026-1-01T00:00:00Z", "26-01-01T00:00:00Z", "",
		"yesterday", "2026-01-01T00:00:00Zx", "2026-01-01T00:00:00+25:00", "2026-01-01T00:00:00+01:61", "2026-01-01T00:00:00+0100", "2026-01-01T00:00:00.Z",
		"2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00.0000019Z", "1969-12-31T23:59:59.999999Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-01T00:0:00Z", "2026-01-01T00:00:0Z",
	} {
		parsed, err := time.Parse(time.RFC3339, text)
		row(&out, "time "+text, parsed.UTC().Format(time.RFC3339), err)
		parsed, err = time.Parse(metav1.RFC3339Micro, text)
		row(&out, "micro "+text, parsed.UTC().Format(metav1.RFC3339Micro), err)
	}
	for _, text := range []string{
		"0", "0s", "1s", "1h30m", "1.5h", "90m", "100ms", "1us", "1µs", "1μs", "1ns", "1500us", "-1h", "+1h", "1h1m1.5s", ".5s", "1.s", "", "1", "1x", "s", ".", "-", "3000000h",
		"2562047h47m16.854775807s", "2562047h47m16.854775808s", "-2562047h47m16.854775808s", "1h 1m", "0.1ns", "1.000000001s", "1d", "99999999999999999999s", "0.100000000000000000000h",
	} {
		parsed, err := time.ParseDuration(text)
		row(&out, "duration "+text, parsed.String(), err)
	}
	return out.String()
}

func selectorRows() string {
	var out strings.Builder
	for _, text := range []string{
		"", "a=b", "a==b", "a!=b", "a", "!a", "a in (b)", "a in (c,b)", "a notin (b, c)", "a,b", "a=b,c!=d", " a = b ", "a in ()", "a in (,)", "a=", "a!=", "a in (b,)", "a>1", "a<1", "a>b",
		"x.io/a=b", "x.io/a in (b,c),!y", "a=b=c", "a in b", "a in (b", "=a", ",", "a,", "a!", "!a=b", "a b", "a notin", "a in", "in", "in in (in)", "notin", "A_/b=c", "a=b c", "a=-b", "a/b/c=d", "a=b;c",
		"-a=b", "a = 1234567890123456789012345678901234567890123456789012345678901234", "a exists", "(a)", "a=(b)", "a!b", "a in (b),", "a=,b", "a in (b))", "!!a", "é=b", "a=é", "a>", "a>1,a<5", "a in (b)c", "!a in (b)",
		"b=1,a=2", "a==", "a=''", "k8s.io/x,!k8s.io/y", "a in(b)", "a notin(b,c)", "a >1", "x=a,y!=b,z in (c,d),!w",
	} {
		parsed, err := labels.Parse(text)
		printed := ""
		if err == nil {
			printed = parsed.String()
		}
		row(&out, "label "+text, printed, err)
	}
	for _, text := range []string{
		"", "metadata.name=x", "metadata.name==x", "metadata.name!=x", "a=b,c!=d", "a", "a=", "=b", "a=b,", ",", "a=b\\,c", "a=b\\=c", "a=b\\", "a=b\\x", "a==b=c", "a=b=c", " a=b", "a = b", "a!=", "a=b,a=c", "a>b", "spec.nodeName=,status.phase!=Running", "a=b\\\\c",
	} {
		parsed, err := fields.ParseSelector(text)
		printed := ""
		if err == nil {
			printed = parsed.String()
		}
		row(&out, "field "+text, printed, err)
	}
	return out.String()
}

func floatRows() string {
	var out strings.Builder
	for _, value := range []float64{0.1, 1, -1, 100, 1e20, 1e21, 1.5e21, 1e-6, 1e-7, 1.25e-9, 123456789.125, 5e-324, 1.7976931348623157e308, 1e100, 0.3, 2.5, -1e-10} {
		text, err := json.Marshal(value)
		must(err)
		row(&out, fmt.Sprint(value), string(text), nil)
	}
	return out.String()
}
