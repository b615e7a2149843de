// The configuration, and every mistake in it that can be told before a request comes.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
)

type settings struct {
	Rules           *ruleSet `json:"rules"`
	Mode            *string  `json:"mode"`
	Paranoia        *int     `json:"paranoia"`
	Threshold       *int     `json:"anomaly_threshold"`
	Setup           []string `json:"setup"`
	Directives      []string `json:"directives"`
	BodyLimit       *size    `json:"body_limit"`
	BodyOverLimit   *string  `json:"body_over_limit"`
	ResponseHeaders bool     `json:"response_headers"`

	*engine
}

// Check refuses what the engine would not take, or would take for something else, and builds the engine.
func (s *settings) Check() error {
	began := time.Now()
	if err := s.build(); err != nil {
		return err
	}
	proxywasm.LogInfof("%d rules, mode %s, ready after %d ms",
		s.engine.count, or(s.Mode, "block"), time.Since(began).Milliseconds())
	return nil
}

// Like Check, without a host.
func (s *settings) build() error {
	if err := s.consistent(); err != nil {
		return err
	}
	engine, err := newEngine(s)
	s.engine = engine
	return err
}

func (s *settings) consistent() error {
	if err := oneOf("mode", s.Mode, "block", "detect"); err != nil {
		return err
	}
	if err := oneOf("body_over_limit", s.BodyOverLimit, "reject", "partial"); err != nil {
		return err
	}
	if err := between("paranoia", s.Paranoia, 1, 4); err != nil {
		return err
	}
	if err := between("anomaly_threshold", s.Threshold, 1, 10000); err != nil {
		return err
	}
	if !s.crs() {
		const alien = "%q belongs to the Core Rule Set, but \"rules\" is a list of your own"
		switch {
		case s.Paranoia != nil:
			return fmt.Errorf(alien, "paranoia")
		case s.Threshold != nil:
			return fmt.Errorf(alien, "anomaly_threshold")
		case s.Setup != nil:
			return fmt.Errorf(alien, "setup")
		}
	}
	return s.each(possible)
}

// Asks about every directive that the user wrote, until one is wrong; the error names its place.
func (s *settings) each(ask func(string) error) error {
	var rules []string
	if !s.crs() {
		rules = *s.Rules
	}
	for _, own := range []struct {
		key  string
		list []string
	}{{"rules", rules}, {"setup", s.Setup}, {"directives", s.Directives}} {
		for i, text := range own.list {
			if err := ask(text); err != nil {
				return fmt.Errorf("\"%s[%d]\": %w", own.key, i, err)
			}
		}
	}
	return nil
}

func (s *settings) crs() bool { return s.Rules == nil || *s.Rules == nil }

func (s *settings) limit() int {
	if s.BodyLimit == nil {
		// A KiB can take a tenth of a second, and no callback should take more than two.
		return 16 << 10
	}
	return int(*s.BodyLimit)
}

// Two groups of words that the engine takes and that would not do here what they say.
var (
	unable = regexp.MustCompile(`(?i)@(rbl|inspectFile|validateSchema|geoLookup)\b`)
	taken  = regexp.MustCompile(`(?im)^\s*(SecRuleEngine|SecRequestBodyAccess|SecRequestBodyLimit|SecRequestBodyLimitAction|` +
		`SecRequestBodyInMemoryLimit|SecResponseBodyAccess|SecAuditEngine)\b`)
)

func possible(text string) error {
	if found := unable.FindString(text); found != "" {
		return fmt.Errorf("%s needs a network, files or a database, which a filter does not have", found)
	}
	if found := taken.FindString(text); found != "" {
		return fmt.Errorf("%s is decided by the other keys of the configuration", strings.TrimSpace(found))
	}
	return nil
}

// Either "crs", kept as nil, or directives.
type ruleSet []string

func (r *ruleSet) UnmarshalJSON(text []byte) error {
	var word string
	if json.Unmarshal(text, &word) == nil && word == "crs" {
		*r = nil
		return nil
	}
	var list []string
	if err := json.Unmarshal(text, &list); err != nil || len(list) == 0 {
		return errors.New(`"rules" is "crs" or a list of directives`)
	}
	*r = list
	return nil
}

// A number of bytes with its unit, as in the proxy's own configuration.
type size int

var units = map[string]int{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "KB": 1e3, "MB": 1e6}

func (s *size) UnmarshalJSON(text []byte) error {
	wrong := errors.New(`"body_limit" is a size with its unit from "1B" to "64MiB", such as "16KiB"`)
	var word string
	if json.Unmarshal(text, &word) != nil {
		return wrong
	}
	digits := strings.TrimRight(word, "BKMi")
	number, err := strconv.Atoi(digits)
	unit, known := units[word[len(digits):]]
	if err != nil || !known || number < 1 || number > math.MaxInt32/unit || number*unit > 64<<20 {
		return wrong
	}
	*s = size(number * unit)
	return nil
}

func oneOf(key string, value *string, words ...string) error {
	if value == nil {
		return nil
	}
	for _, word := range words {
		if *value == word {
			return nil
		}
	}
	return fmt.Errorf("%q is %q, not one of: %s", key, *value, strings.Join(words, ", "))
}

func between(key string, value *int, low, high int) error {
	if value != nil && (*value < low || *value > high) {
		return fmt.Errorf("%q is %d, not from %d to %d", key, *value, low, high)
	}
	return nil
}

func or(value *string, otherwise string) string {
	if value == nil {
		return otherwise
	}
	return *value
}
