package problem

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestProblemsAreToldByLine(t *testing.T) {
	c := Collector{File: "release.yaml"}
	if err := c.Err(); err != nil || !c.Empty() {
		t.Fatalf("nothing was added: %v", err)
	}
	c.Add(7, "recipe.argv", "has %d words", 0)
	c.Add(7, "recipe.argv", "is missing")
	c.Add(0, "", "is odd")
	c.Add(2, "", "is not YAML")
	const want = "release.yaml: is odd\nrelease.yaml:2: is not YAML\nrelease.yaml:7: recipe.argv: has 0 words\nrelease.yaml:7: recipe.argv: is missing"
	if err := c.Err(); err == nil || err.Error() != want || c.Empty() {
		t.Errorf("%v, want\n%s", err, want)
	}
}

func TestOneForPlace(t *testing.T) {
	c := Collector{File: "f", OneForPlace: true}
	for _, place := range []struct {
		line  int
		field string
	}{{1, "a"}, {1, "b"}, {2, "a"}, {1, "a"}, {0, ""}, {0, ""}} {
		c.Add(place.line, place.field, "is wrong")
	}
	if got := strings.Split(c.Err().Error(), "\n"); len(got) != 4 {
		t.Errorf("%q, want one for each of 4 places", got)
	}
}

func TestFewAreTold(t *testing.T) {
	c := Collector{File: "f"}
	for line := range Max + 10 {
		c.Add(line, "", "is wrong")
	}
	var all Problems
	if !errors.As(c.Err(), &all) || len(all) != Max {
		t.Errorf("%d are told, %d at most", len(all), Max)
	}
}

// What the YAML parser says stands on the line where people see it.
func TestYAML(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\nb: ]\n":       "f:2: did not find expected node content",
		"a: 1\n  b: 2\n":     "f:2: mapping values are not allowed in this context",
		"a: 1\n\nb: 2\nb: 3": `f:4: mapping key "b" already defined at line 3`,
		"[1, 2]\n":           "f:1: cannot unmarshal !!seq into map[string]int",
	} {
		var into map[string]int
		c := Collector{File: "f"}
		c.AddYAML(yaml.Unmarshal([]byte(text), &into))
		if err := c.Err(); err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// Programs read problems as JSON, whose names stay.
func TestJSON(t *testing.T) {
	for want, p := range map[string]Problem{
		`{"file":"f","line":3,"field":"a.b","message":"is wrong"}`: {File: "f", Line: 3, Field: "a.b", Message: "is wrong"},
		`{"file":"f","line":0,"message":"is wrong"}`:               {File: "f", Message: "is wrong"},
	} {
		if got, err := json.Marshal(p); err != nil || string(got) != want {
			t.Errorf("%s (%v), want %s", got, err, want)
		}
	}
}
