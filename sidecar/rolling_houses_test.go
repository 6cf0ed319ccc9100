package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// around is what is around crawlers, at an address of this host.
type around struct {
	programs, brokers string
	load              *load
	web               *web
	pages             *pages
}

// newAround starts it. The address is another than loopback for crawlers that
// live elsewhere; empty for those that live here.
func newAround(t *testing.T, address string) around {
	t.Helper()
	kafka := testkit.KafkaWith(t, testkit.KafkaOptions{Also: address})
	a := around{programs: buildCrawling(t), brokers: kafka.Addr()}
	if address == "" {
		address = "127.0.0.1"
	} else {
		a.brokers = kafka.AddrElsewhere()
	}
	a.web = newWeb(t, address)
	a.load = newLoad(t, kafka, a.web.URL)
	a.pages = newPages(t, address, filepath.Join(a.programs, "api"), kafka)
	return a
}

// crawler is a release's command for the shell.
func (a around) crawler(program, release, instead string) string {
	return fmt.Sprintf(`%s exec '%s' -agent "%s $HOMEOSTAT_CELL" -brokers %s -scope %s/ -sidecar %s -rate 1000`,
		instead, program, release, a.brokers, a.web.URL, a.pages.lists)
}

// above is what stands in the policy beside the service.
func (a around) above() string {
	return fmt.Sprintf("bundle = \"bundles\"\nkafka { brokers = [%q] }\n", a.brokers)
}

// newLocalCrawling is one of n processes of this machine, of the release "one".
func newLocalCrawling(t *testing.T, n int) *crawling {
	t.Helper()
	a := newAround(t, "")
	c := &crawling{around: a, n: n, house: newHouse(t, houseOptions{
		Min: n, Max: n + 2, Initial: n, Above: a.above(), Policy: "genome = \"pod.genome.hcl\"\n" + crawlerPolicy,
		Command: []string{"sh", "-c", "CRAWLER"},
	})}
	c.agree = c.house.agree
	c.edit("pod/main.tf", `create = "30s"`, `create = "1m"`) // eight on a busy machine
	whole := c.file("main.tf")
	c.lay = func(release, instead string) {
		command, err := json.Marshal(a.crawler(filepath.Join(a.programs, "crawler"), release, instead))
		c.must(err)
		c.write("pod/main.tf", strings.Replace(whole, `"CRAWLER"`, string(command), 1))
		c.write("pod.genome.hcl", fmt.Sprintf("command = [\"crawler\"]\nenvironment = { RELEASE = %q }\n", release))
	}
	c.lay("one", "")
	c.run(c.terraform, "init", "-no-color") // the lock file is part of the bundle
	return c
}

// newCrawlingPool is one of n machines of a pool that has one more.
func newCrawlingPool(t *testing.T, n int) (*crawling, *pool) {
	t.Helper()
	network := poolNet(t, n+1)
	a := newAround(t, network.Gateway())
	p := newPool(t, poolOptions{
		Net: network, Machines: n + 1, User: "birth", Reuse: true, Min: n, Above: a.above(), Policy: crawlerPolicy,
		Genome:  fmt.Sprintf("file \"/usr/local/bin/crawler\" {\n  source = %q\n  mode = \"0755\"\n}\n", filepath.Join(a.programs, "crawler")),
		Command: []string{"sh", "-c", a.crawler("/usr/local/bin/crawler", "one", "")},
	})
	c := &crawling{around: a, n: n, house: p.house, agree: p.agreeOn}
	c.lay = func(release, instead string) {
		p.options.Command = []string{"sh", "-c", a.crawler("/usr/local/bin/crawler", release, instead)}
		p.layGenome(release)
	}
	c.edit("pod/main.tf", `create = "3m"`, `create = "1m"`)
	return c, p
}

// TestRollingRenewalOverSSH does the same with crawlers on machines of their own,
// of which the pool has one to spare: each newcomer is born where an old cell has
// just left.
func TestRollingRenewalOverSSH(t *testing.T) {
	c, p := newCrawlingPool(t, 3)
	before := map[string][]string{}
	for _, m := range p.machines {
		before[m.Name()] = p.files(m)
	}
	c.release("one", "")
	c.apply()
	c.alone()
	c.rolls("exit 3")
	refused := 0
	for _, m := range p.held() {
		refused += p.shut(m)
	}
	t.Logf("%d machines: %d ways in were tried and refused", c.n, refused)
	c.succeed("pause", "pod")
	c.destroy()
	c.nothingIsLeft()
	for _, m := range p.machines {
		p.isAsBefore(m, before[m.Name()])
	}
}
