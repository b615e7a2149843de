// The inspection without a host: what is blocked, what passes, and what is told of it.
package main

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
)

// Compiling the Core Rule Set takes a while, and every test that changes nothing can share it.
var shared = sync.OnceValue(func() *engine { return mustBuild("{}") })

func mustBuild(config string) *engine {
	s, err := parse(config)
	if err == nil {
		err = s.build()
	}
	if err != nil {
		panic(err)
	}
	return s.engine
}

type request struct {
	method, path, body string
	headers            [][2]string
}

func ask(e *engine, r request) *verdict {
	method := r.method
	if method == "" {
		method = "GET"
	}
	pairs := [][2]string{{":method", method}, {":path", r.path}, {":authority", "shop.example"}, {":scheme", "http"}}
	agent := true
	for _, h := range r.headers {
		agent = agent && h[0] != "user-agent"
	}
	if agent {
		pairs = append(pairs, [2]string{"user-agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"})
	}
	pairs = append(append(pairs, [2]string{"accept", "*/*"}), r.headers...)
	i := e.begin(pairs, "HTTP/1.1", "192.0.2.7:4711")
	defer i.free()
	if v := i.head(r.body == ""); v != nil || r.body == "" {
		return v
	}
	// In two pieces, because bodies come in pieces.
	half := len(r.body) / 2
	for _, piece := range []string{r.body[:half], r.body[half:]} {
		if v, full := i.body([]byte(piece)); v != nil || full {
			return v
		}
	}
	return i.finish()
}

func form(body string) request {
	return request{"POST", "/login", body, [][2]string{{"content-type", "application/x-www-form-urlencoded"}}}
}

func object(body string) request {
	return request{"POST", "/api", body, [][2]string{{"content-type", "application/json"}}}
}

func TestAttacksAreBlocked(t *testing.T) {
	for name, c := range map[string]struct {
		request
		group int
	}{
		"sql in the query":          {request{path: "/?id=1%27%20OR%20%271%27=%271%27--%20-"}, 942},
		"sql in a cookie":           {request{path: "/", headers: [][2]string{{"cookie", "id=1' UNION SELECT name, pass FROM users-- -"}}}, 942},
		"sql in a form":             {form("user=admin&pass=x' OR 1=1-- -"), 942},
		"sql in json":               {object(`{"user":{"name":"x' UNION SELECT password FROM users-- -"}}`), 942},
		"traversal in the query":    {request{path: "/?file=../../../../etc/passwd"}, 930},
		"traversal in the path":     {request{path: "/static/..%2f..%2f..%2fetc%2fpasswd"}, 930},
		"traversal in a header":     {request{path: "/", headers: [][2]string{{"x-file", "../../../../etc/passwd"}}}, 930},
		"traversal in a form":       {form("file=../../../../etc/passwd"), 930},
		"script in the query":       {request{path: "/?q=%3Cscript%3Ealert(1)%3C/script%3E"}, 941},
		"shell in the query":        {request{path: "/?q=;cat%20/etc/passwd"}, 932},
		"a scanner's name (a file)": {request{path: "/", headers: [][2]string{{"user-agent", "sqlmap/1.8"}}}, 913},
	} {
		v := ask(shared(), c.request)
		if v == nil {
			t.Errorf("%s: passed", name)
			continue
		}
		found := false
		for _, m := range v.Rules {
			found = found || m.Rule/1000 == c.group
		}
		if v.status != 403 || !found || v.Score < 5 || v.Severity == "" || v.Variable == "" {
			t.Errorf("%s: %d %s", name, v.status, v.line("blocked"))
		}
	}
}

func TestCleanRequestsPass(t *testing.T) {
	file := "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n"
	for name, r := range map[string]request{
		"get":       {path: "/shop/item?id=42&sort=price"},
		"form":      form("name=Ada+Lovelace&city=London"),
		"json":      object(`{"name":"Ada","tags":["a","b"],"n":1.5}`),
		"empty":     {method: "POST", path: "/", headers: [][2]string{{"content-length", "0"}}},
		"multipart": {"POST", "/up", file, [][2]string{{"content-type", "multipart/form-data; boundary=b"}}},
		"put":       {"PATCH", "/x", "", [][2]string{{"content-length", "0"}}},
	} {
		// A method that the Core Rule Set does not allow by itself is the user's to allow.
		if v := ask(shared(), r); v != nil && name != "put" {
			t.Errorf("%s: %s", name, v.line("blocked"))
		}
	}
}

func TestMethodsCanBeAllowed(t *testing.T) {
	r := request{method: "PATCH", path: "/x", headers: [][2]string{{"content-length", "0"}}}
	if ask(shared(), r) == nil {
		t.Error("PATCH passes by itself")
	}
	e := mustBuild(`{"setup": ["SecAction \"id:900200,phase:1,pass,t:none,nolog,setvar:'tx.allowed_methods=GET PATCH'\""]}`)
	if v := ask(e, r); v != nil {
		t.Error(v.line("blocked"))
	}
}

func TestThresholdParanoiaAndExclusions(t *testing.T) {
	attack := request{path: "/?file=../../../../etc/passwd"}
	if v := ask(mustBuild(`{"anomaly_threshold": 1000}`), attack); v != nil {
		t.Error("below the threshold:", v.line("blocked"))
	}
	// Every rule that sees this is taken out, by number and by target.
	quiet := mustBuild(`{"directives": ["SecRuleRemoveById 930000-930999", "SecRuleRemoveById 932000-932999"]}`)
	if v := ask(quiet, attack); v != nil {
		t.Error("removed rules:", v.line("blocked"))
	}
	plain := request{path: "/?q=%24%7Bx%7D%20%26%26%20%22y%22%3B"}
	low, high := ask(shared(), plain), ask(mustBuild(`{"paranoia": 4}`), plain)
	if high == nil || (low != nil && low.Score >= high.Score) {
		t.Error("paranoia changes nothing", low, high)
	}
}

func TestOwnRules(t *testing.T) {
	e := mustBuild(`{"rules": ["SecRule ARGS:q \"@contains secret\" \"id:1,phase:2,deny,status:451,log,msg:'no'\""]}`)
	v := ask(e, request{path: "/?q=my+secret"})
	if v == nil || v.status != 451 || v.Rule != 1 || v.Variable != "ARGS_GET:q" && v.Variable != "ARGS:q" {
		t.Fatal(v)
	}
	if v := ask(e, request{path: "/?id=1'+OR+1=1--"}); v != nil {
		t.Error("rules that nobody asked for:", v.line("blocked"))
	}
}

func TestBodiesOverTheLimit(t *testing.T) {
	clean, attack := "a="+strings.Repeat("b", 98), "a=' UNION SELECT password FROM users-- -&"
	reject := mustBuild(`{"body_limit": "100B"}`)
	if v := ask(reject, form(clean)); v != nil {
		t.Error("exactly the limit:", v.line("blocked"))
	}
	if v := ask(reject, form(clean+"b")); v == nil || v.status != 413 {
		t.Error("one byte more:", v)
	}
	declared := form(clean + "b")
	declared.headers = append(declared.headers, [2]string{"content-length", "101"})
	if v := ask(reject, declared); v == nil || v.status != 413 {
		t.Error("declared:", v)
	}
	partial := mustBuild(`{"body_limit": "100B", "body_over_limit": "partial"}`)
	if v := ask(partial, form(clean+clean)); v != nil {
		t.Error("partial:", v.line("blocked"))
	}
	if v := ask(partial, form(attack+clean)); v == nil || v.status != 403 {
		t.Error("an attack in the part that counts:", v)
	}
	if v := ask(mustBuild(`{"body_limit": "100B", "mode": "detect"}`), form(clean+clean)); v != nil {
		t.Error("detecting refuses nothing:", v.line("blocked"))
	}
}

func TestResponses(t *testing.T) {
	e := mustBuild(`{"response_headers": true, "directives": [
		"SecRule RESPONSE_HEADERS:x-debug \"@streq on\" \"id:1,phase:3,deny,status:502,log,msg:'debug'\""]}`)
	for value, blocked := range map[string]bool{"on": true, "off": false} {
		i := e.begin([][2]string{{":method", "GET"}, {":path", "/"}, {":authority", "a"}}, "", "")
		i.head(true)
		v := i.response([][2]string{{":status", "200"}, {"x-debug", value}})
		if (v != nil) != blocked || (v != nil && v.status != 502) {
			t.Error(value, v)
		}
		i.free()
	}
}

func TestTheLineHoldsNoValues(t *testing.T) {
	r := form("password=hunter2' UNION SELECT 1-- -&" + strings.Repeat("n", 300) + "=' OR 1=1-- -")
	r.headers = append(r.headers, [2]string{"x-request-id", "r-1"})
	v := ask(shared(), r)
	if v == nil {
		t.Fatal("passed")
	}
	line := v.line("blocked")
	var told map[string]any
	if err := json.Unmarshal([]byte(line), &told); err != nil || strings.Contains(line, "\n") {
		t.Fatal(line, err)
	}
	for _, text := range []string{line, v.text(), v.header()} {
		if strings.Contains(text, "hunter2") {
			t.Error("a value is told:", text)
		}
	}
	if told["request"] != "r-1" || told["waf"] != "blocked" || told["status"] != 403.0 || len(line) > 4000 {
		t.Error(line)
	}
}

func TestTheSameTransactionsAgain(t *testing.T) {
	// Transactions are used again, so nothing of one may be left in the next.
	for range 50 {
		if ask(shared(), form("a=' OR 1=1-- -")) == nil {
			t.Fatal("an attack passed")
		}
		if v := ask(shared(), form("a=b")); v != nil {
			t.Fatal(v.line("blocked"))
		}
	}
}
