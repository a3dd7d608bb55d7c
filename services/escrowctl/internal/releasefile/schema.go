package releasefile

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/countersign-escrow/countersign/services/internal/problem"
)

// Schema is the JSON Schema of release.yaml, for editors too; docs/release.schema.json is the same file.
//
//go:embed release.schema.json
var Schema []byte

const schemaURL = "https://github.com/countersign-escrow/countersign/docs/release.schema.json"

var compiled = sync.OnceValues(func() (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, err
	}
	return c.Compile(schemaURL)
})

// validate holds a tree against the schema and reports every leaf of what the validator finds.
func validate(t *tree, c *problem.Collector) {
	schema, err := compiled()
	if err != nil {
		c.Add(0, "", "the schema in this program is broken: %v", err)
		return
	}
	var invalid *jsonschema.ValidationError
	if err := schema.Validate(t.value); errors.As(err, &invalid) {
		report(t, c, invalid)
	} else if err != nil {
		c.Add(0, "", "%v", err)
	}
}

func report(t *tree, c *problem.Collector, e *jsonschema.ValidationError) {
	field := fieldOf(t.value, e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			at := join(field, name)
			c.Add(t.line(at), at, "%s", unknown(name, e.SchemaURL))
		}
	case *kind.Required:
		for _, name := range k.Missing {
			c.Add(t.line(field), join(field, name), "is missing")
		}
	case *kind.DependentRequired:
		c.Add(t.line(field), field, "%s goes with %s, which is missing", k.Prop, strings.Join(k.Missing, ", "))
	case *kind.OneOf: // its causes only say which branch failed
		c.Add(t.line(field), field, "must have either archive or git-bundle")
	default:
		if len(e.Causes) == 0 {
			c.Add(t.line(field), field, "%s", describe(e))
			return
		}
		for _, cause := range e.Causes {
			report(t, c, cause)
		}
	}
}

// wanted says in words what the schema says in patterns, by the end of the schema's location.
var wanted = map[string]string{
	"/$defs/duration":      "must be whole hours, minutes and seconds, such as 90s, 10m or 1h30m",
	"/$defs/size":          "must be a whole number and B, KiB, MiB, GiB or TiB, such as 512MiB",
	"/properties/product":  "must have the form organizations/{vendor}/products/{product}",
	"/properties/version":  "must be 1 to 63 of A-Z, a-z, 0-9, '.', '_', '+', '~' and '-', starting with a letter or digit",
	"/properties/digest":   "must be sha256: and 64 lower-case hexadecimal digits",
	"/properties/platform": "must be an operating system and an architecture, such as linux/amd64",
}

func describe(e *jsonschema.ValidationError) string {
	if k, ok := e.ErrorKind.(*kind.Type); ok {
		return describeType(k)
	}
	for end, words := range wanted {
		if strings.HasSuffix(e.SchemaURL, end) {
			return words
		}
	}
	switch k := e.ErrorKind.(type) {
	case *kind.MinItems:
		return "is empty"
	case *kind.MinLength:
		return "is empty"
	case *kind.MaxItems:
		return fmt.Sprintf("has %d entries, %d at most", k.Got, k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("has %d characters, %d at most", k.Got, k.Want)
	case *kind.Minimum:
		return "must be at least " + k.Want.RatString()
	case *kind.Maximum:
		return "must be at most " + k.Want.RatString()
	default:
		return "does not fit the schema: " + e.ErrorKind.LocalizedString(printer)
	}
}

var typeNames = map[string]string{
	"string": "text", "number": "a number", "integer": "a whole number", "boolean": "true or false",
	"array": "a list", "object": "a mapping", "null": "empty",
}

func describeType(k *kind.Type) string {
	want := typeNames[k.Want[0]]
	if k.Got == "null" {
		return fmt.Sprintf("is empty, must be %s", want)
	}
	advice := ""
	if k.Want[0] == "string" && (k.Got == "number" || k.Got == "boolean") {
		advice = "; put it in quotes"
	}
	return fmt.Sprintf("is %s, must be %s%s", typeNames[k.Got], want, advice)
}

// fieldOf writes a location the way that people do. Only the value tells a list's index from a key that is a number.
func fieldOf(value any, location []string) string {
	field := ""
	for _, step := range location {
		switch v := value.(type) {
		case []any:
			i, _ := strconv.Atoi(step)
			field, value = index(field, i), v[i]
		case map[string]any:
			field, value = join(field, step), v[step]
		default:
			return field
		}
	}
	return field
}
