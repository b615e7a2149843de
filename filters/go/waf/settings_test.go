// Mistakes of the configuration, each told with its key.
package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestMistakesNameTheirKey(t *testing.T) {
	for text, wanted := range map[string]string{
		`{"rule": "crs"}`:                                  `"rule"`,
		`{"rules": "owasp"}`:                               `"rules"`,
		`{"rules": []}`:                                    `"rules"`,
		`{"mode": "log"}`:                                  `"mode"`,
		`{"paranoia": 5}`:                                  `"paranoia"`,
		`{"paranoia": "high"}`:                             `paranoia`,
		`{"anomaly_threshold": 0}`:                         `"anomaly_threshold"`,
		`{"body_limit": 1000}`:                             `"body_limit"`,
		`{"body_limit": "0B"}`:                             `"body_limit"`,
		`{"body_limit": "1GiB"}`:                           `"body_limit"`,
		`{"body_limit": "9999999MiB"}`:                     `"body_limit"`,
		`{"body_over_limit": "drop"}`:                      `"body_over_limit"`,
		`{"rules": ["SecAction \"id:1\""], "paranoia": 2}`: `"paranoia"`,
		`{"directives": ["SecRuleRemoveById 1", "SecRuleEngine Off"]}`:           `"directives[1]"`,
		`{"setup": ["SecRule REMOTE_ADDR \"@rbl x.example\" \"id:1,phase:1\""]}`: `"setup[0]"`,
		`{"rules": ["SecAction \"id:1,phase:1,pass\"", "SecNonsense"]}`:          `"rules[1]"`,
		`{"directives": ["SecRule ARGS \"@rx (\" \"id:1,phase:2,deny\""]}`:       `"directives[0]"`,
	} {
		s, err := parse(text)
		if err == nil {
			err = s.build()
		}
		if err == nil || !strings.Contains(err.Error(), wanted) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestSizesCarryUnits(t *testing.T) {
	for text, wanted := range map[string]size{"1B": 1, "2KiB": 2048, "2KB": 2000, "64MiB": 64 << 20} {
		s, err := parse(`{"body_limit": "` + text + `"}`)
		if err != nil || *s.BodyLimit != wanted {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for address, wanted := range map[string]string{"10.0.0.1:80": "10.0.0.1", "[::1]:80": "::1", "": ""} {
		if host, _ := split(address); host != wanted {
			t.Errorf("%q: %q", address, host)
		}
	}
}

// Reads settings as the SDK does.
func parse(text string) (*settings, error) {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	s := new(settings)
	return s, decoder.Decode(s)
}
