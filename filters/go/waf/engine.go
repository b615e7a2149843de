// The rule engine of one configuration: the directives in their order, compiled once.
package main

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/experimental"
	"github.com/corazawaf/coraza/v3/types"
)

type engine struct {
	waf   coraza.WAF
	count int
	// What to do: block or only log; refuse a body over the limit or look at its first part.
	block, reject bool
	limit         int
	responses     bool
}

func newEngine(s *settings) (*engine, error) {
	e := &engine{
		block:     or(s.Mode, "block") == "block",
		limit:     s.limit(),
		responses: s.ResponseHeaders,
	}
	// Detecting adds nothing for the client, so it does not refuse either.
	e.reject = e.block && or(s.BodyOverLimit, "reject") == "reject"

	waf, err := e.compile(e.text(s)...)
	if err != nil {
		return nil, e.blame(s, err)
	}
	e.waf = waf
	// What compiling left behind is given back now, and not in the middle of somebody's request.
	runtime.GC()
	return e, nil
}

// All directives in the order in which they count. The rules come from the module of the Core Rule Set, which carries
// its files in itself: a filter has no file system.
func (e *engine) text(s *settings) []string {
	// The filter before each regular expression looks for the letters that it cannot match without: a third of the time.
	all := []string{"SecRxPreFilter On", "Include @coraza.conf-recommended"}
	if s.crs() {
		all = append(all, "Include @crs-setup.conf.example")
		all = append(all, scores(s)...)
		all = append(all, s.Setup...)
		all = append(all, "Include @owasp_crs/*.conf")
	} else {
		all = append(all, *s.Rules...)
	}
	all = append(all, s.Directives...)
	return append(all, e.last()...)
}

// Numbers of the Core Rule Set's own setup file, where they stand commented out.
func scores(s *settings) []string {
	var all []string
	if s.Paranoia != nil {
		all = append(all, fmt.Sprintf(
			`SecAction "id:900000,phase:1,pass,t:none,nolog,setvar:tx.blocking_paranoia_level=%d"`, *s.Paranoia))
	}
	if s.Threshold != nil {
		all = append(all, fmt.Sprintf(
			`SecAction "id:900110,phase:1,pass,t:none,nolog,setvar:tx.inbound_anomaly_score_threshold=%d"`, *s.Threshold))
	}
	return all
}

// Last, because these win over the recommended file and over the user. The engine takes a body of exactly its limit for
// one that is too large, hence the one byte more.
func (e *engine) last() []string {
	action := "ProcessPartial"
	if e.reject {
		action = "Reject"
	}
	return []string{
		"SecRuleEngine On",
		"SecAuditEngine Off",
		"SecRequestBodyAccess On",
		"SecResponseBodyAccess Off",
		fmt.Sprintf("SecRequestBodyLimit %d", e.limit+1),
		fmt.Sprintf("SecRequestBodyInMemoryLimit %d", e.limit+1),
		"SecRequestBodyLimitAction " + action,
	}
}

func (e *engine) compile(directives ...string) (coraza.WAF, error) {
	e.count = 0
	config := coraza.NewWAFConfig().WithRootFS(coreruleset.FS).WithDirectives(strings.Join(directives, "\n"))
	return coraza.NewWAF(experimental.WAFConfigWithRuleObserver(config, func(types.RuleMetadata) { e.count++ }))
}

// The engine tells what is wrong but not where, so each directive of the user is tried alone.
func (e *engine) blame(s *settings, err error) error {
	place := s.each(func(text string) error {
		_, alone := e.compile(append([]string{text}, e.last()...)...)
		return innermost(alone)
	})
	if place != nil {
		return place
	}
	return innermost(err)
}

// The outer errors only repeat that a string could not be parsed.
func innermost(err error) error {
	if err == nil {
		return nil
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}
