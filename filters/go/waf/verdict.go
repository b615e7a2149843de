// What was found, for the log in full and for the client without what it sent.
package main

import (
	"encoding/json"
	"fmt"

	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
	"github.com/corazawaf/coraza/v3/types"
)

// A request can match hundreds of rules, and name its parameters at will: a line of the log has an end.
const (
	mostRules = 8
	mostBytes = 96
)

// One decision against a request.
type verdict struct {
	report
	status uint32
}

// A line of the log. It holds names of variables and never their values: those can be passwords.
type report struct {
	Waf      string `json:"waf"`
	Rule     int    `json:"rule"`
	Severity string `json:"severity,omitempty"`
	Variable string `json:"variable,omitempty"`
	Message  string `json:"message"`
	// Of the Core Rule Set; 0 with rules of one's own.
	Score   int     `json:"score"`
	Rules   []match `json:"rules,omitempty"`
	More    int     `json:"more,omitempty"`
	Status  uint32  `json:"status,omitempty"`
	Request string  `json:"request,omitempty"`
}

type match struct {
	Rule     int    `json:"rule"`
	Severity string `json:"severity,omitempty"`
	Variable string `json:"variable,omitempty"`
	Message  string `json:"message"`
}

// What a rule decided. The rule that ends a request of the Core Rule Set only adds up scores, so the first of the gravest
// rules before it is the one that is told.
func (i *inspection) verdict(found *types.Interruption) *verdict {
	v := &verdict{status: 403}
	if found.Action == "deny" && found.Status >= 400 && found.Status <= 599 {
		v.status = uint32(found.Status)
	}
	if r := i.matches(); r != nil {
		v.report = *r
	} else {
		v.Rule = found.RuleID
	}
	v.Status = v.status
	return v
}

func (i *inspection) tooLarge() *verdict {
	message := fmt.Sprintf("the body is larger than %d bytes", i.limit)
	return &verdict{status: 413, report: report{Message: message, Status: 413, Request: clip(i.request)}}
}

// A body that the engine cannot take is not inspected; it is not the client's to decide that.
func (i *inspection) unread(err error) *verdict {
	message := clip("the body cannot be inspected: " + err.Error())
	return &verdict{status: 400, report: report{Message: message, Status: 400, Request: clip(i.request)}}
}

// All rules that matched and have something to say; nil when there is none.
func (i *inspection) matches() *report {
	r := &report{Request: clip(i.request), Score: i.score()}
	gravest := 8
	var summary match
	for _, matched := range i.tx.MatchedRules() {
		rule := matched.Rule()
		if matched.Message() == "" || !logged(matched) {
			continue
		}
		m := match{Rule: rule.ID(), Message: clip(matched.Message())}
		severity := rule.Severity().Int()
		if severity >= 0 {
			m.Severity = rule.Severity().String()
		} else {
			severity = 8
		}
		if data := matched.MatchedDatas(); len(data) > 0 {
			m.Variable = data[0].Variable().Name()
			if key := data[0].Key(); key != "" {
				m.Variable = clip(m.Variable + ":" + key)
			}
		}
		if sums(rule.ID()) {
			summary = m
			continue
		}
		if r.Rule == 0 || severity < gravest {
			gravest = severity
			r.Rule, r.Severity, r.Variable, r.Message = m.Rule, m.Severity, m.Variable, m.Message
		}
		if len(r.Rules) < mostRules {
			r.Rules = append(r.Rules, m)
		} else {
			r.More++
		}
	}
	switch {
	case r.Rule != 0:
		return r
	case summary.Rule != 0:
		r.Rule, r.Severity, r.Variable, r.Message = summary.Rule, summary.Severity, summary.Variable, summary.Message
		return r
	}
	return nil
}

// Whether the rule wants to be in the log: the Core Rule Set has many that only prepare others. The engine has the answer,
// but not yet in the interface that it publishes.
func logged(matched types.MatchedRule) bool {
	rule, ok := matched.(interface{ Log() bool })
	return !ok || rule.Log()
}

// Rules 949… and 959… compare the score with the threshold, 980… reports it.
func sums(rule int) bool {
	group := rule / 1000
	return group == 949 || group == 959 || group == 980
}

// The score of the request, or of the response where that is higher.
func (i *inspection) score() int {
	state, ok := i.tx.(plugintypes.TransactionState)
	if !ok {
		return 0
	}
	most := 0
	for _, name := range []string{"blocking_inbound_anomaly_score", "blocking_outbound_anomaly_score"} {
		var score int
		if values := state.Variables().TX().Get(name); len(values) > 0 {
			// What is no number counts as 0.
			_, _ = fmt.Sscan(values[0], &score)
		}
		most = max(most, score)
	}
	return most
}

func (r *report) line(what string) string {
	r.Waf = what
	text, err := json.Marshal(r)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (v *verdict) header() string {
	if v.Rule == 0 {
		return "blocked"
	}
	return fmt.Sprintf("blocked; rule=%d; score=%d", v.Rule, v.Score)
}

func (v *verdict) text() string {
	switch {
	case v.status == 413:
		return v.Message + "\n"
	case v.Rule == 0:
		return "blocked\n"
	}
	return fmt.Sprintf("blocked by rule %d\n", v.Rule)
}

func clip(text string) string {
	if len(text) <= mostBytes {
		return text
	}
	cut := mostBytes
	for cut > 0 && text[cut]&0xc0 == 0x80 {
		cut--
	}
	return text[:cut] + "…"
}
