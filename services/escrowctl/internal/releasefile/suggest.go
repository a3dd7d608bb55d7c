package releasefile

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"sync"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

var printer = message.NewPrinter(language.English)

// fields lists the known fields of each object of the schema, by the fragment of its location.
var fields = sync.OnceValue(func() map[string][]string {
	var doc any
	if err := json.Unmarshal(Schema, &doc); err != nil {
		return nil
	}
	found := make(map[string][]string)
	gatherFields(doc, "", found)
	return found
})

func gatherFields(v any, at string, found map[string][]string) {
	object, ok := v.(map[string]any)
	if !ok {
		return
	}
	for key, child := range object {
		if names, ok := child.(map[string]any); ok && key == "properties" {
			for name := range names {
				found[at] = append(found[at], name)
			}
			sort.Strings(found[at])
		}
		gatherFields(child, at+"/"+key, found)
	}
}

// unknown says that a field is not known, and which ones could have stood there, the near one where one is near.
func unknown(name, location string) string {
	_, fragment, _ := strings.Cut(location, "#")
	known := fields()[fragment]
	if len(known) == 0 { // only recipe.env names its entries freely
		return "cannot name a variable"
	}
	for _, k := range known {
		if near(strings.ToLower(name), k) {
			return fmt.Sprintf("unknown field; did you mean %s?", k)
		}
	}
	return "unknown field; there are " + strings.Join(known, ", ")
}

// near says whether a is b but for an ending or two letters.
func near(a, b string) bool {
	if strings.HasPrefix(a, b) || (len(a) > 2 && strings.HasPrefix(b, a)) {
		return true
	}
	const most = 64
	return len(a) <= most && editDistance(a, b) <= 2 && len(b) > 3
}

// editDistance counts the letters to put in, take out or change.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			corner = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
