package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/discover"
	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/store"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// demo is the system, and what is needed to look at it and to remove it.
type demo struct {
	place       place
	host        string // where all is reached
	cloud       *cloud // nil where the crawlers are processes of this host
	web         *web
	brokers     string
	queue       *kfake.Cluster // nil with a Kafka of the user's own
	server      *testkit.ConsulServer
	consul      *api.Client
	fleet       *fleet.Client
	frontPort   int
	clients     *clients // nil before they search
	store       *store.Databases
	binary      string   // of Terraform
	environment []string // of Terraform and homeostat
	made        []string // services that may exist
	seen        map[string]bool
}

// prepare makes the folder and gets what is missing. Nothing runs yet.
func prepare(ctx context.Context, o options) (*demo, error) {
	if o.machines {
		if err := o.findMachines(ctx); err != nil {
			return nil, err
		}
	}
	p, err := newPlace(o.directory, o.machines)
	if err != nil {
		return nil, err
	}
	d := &demo{place: p, host: "127.0.0.1", brokers: o.brokers, seen: map[string]bool{}}
	if err := d.get(ctx, o); err != nil {
		return nil, errors.Join(err, d.down(ctx), p.remove())
	}
	return d, nil
}

// get gets the programs and the web, and starts the servers.
func (d *demo) get(ctx context.Context, o options) error {
	fmt.Println("Building homeostat, the provider and the example.")
	if err := d.place.build(ctx, o.providers); err != nil {
		return err
	}
	var err error
	if d.binary, err = testkit.TerraformBinary(ctx); err != nil {
		return err
	}
	if _, err := testkit.PostgresBinaries(ctx); err != nil {
		return err
	}
	consul := testkit.ConsulOptions{Directory: d.place.in("consul")}
	if o.machines {
		if err := d.startCloud(ctx); err != nil {
			return err
		}
		consul.Also = d.host
	}
	if d.web, err = serveWeb(ctx, o, d.host); err != nil {
		return err
	}
	if d.server, err = testkit.StartConsul(ctx, consul); err != nil {
		return err
	}
	if err := d.startQueue(); err != nil {
		return err
	}
	if err := d.takeFrontPort(); err != nil {
		return err
	}
	// What the cells inherit: this Consul, and a PATH that has this Terraform.
	inherited := map[string]string{
		"CONSUL_HTTP_ADDR": d.consulAddr(),
		"PATH":             filepath.Dir(d.binary) + string(os.PathListSeparator) + os.Getenv("PATH"),
	}
	at := addresses{consul: d.consulAddr(), brokers: d.brokers, web: d.web.scope}
	if d.cloud != nil {
		maps.Copy(inherited, d.cloud.environment())
		at.s3 = d.cloud.localstack.At(d.host)
	}
	for name, value := range inherited {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	d.environment = append(testkit.TerraformEnvironment(d.place.cliConfig()), "CONSUL_HTTP_ADDR="+d.consulAddr())
	if err := d.connect(); err != nil {
		return err
	}
	if err := d.place.copySources(at); err != nil {
		return err
	}
	if d.cloud != nil {
		if err := d.writePeersKey(); err != nil {
			return err
		}
	}
	return d.settings()
}

// consulAddr is where all reach Consul, host:port.
func (d *demo) consulAddr() string {
	_, port, _ := net.SplitHostPort(d.server.Addr()) // it is one
	return net.JoinHostPort(d.host, port)
}

// startQueue starts a broker of Kafka's protocol within this program, unless
// there is a Kafka to use.
func (d *demo) startQueue() error {
	if d.brokers != "" {
		return nil
	}
	port, err := testkit.StartPort()
	if err != nil {
		return err
	}
	d.brokers = net.JoinHostPort(d.host, strconv.Itoa(port))
	d.queue, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(d.place.in("kafka")),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return net.Listen(network, d.brokers) }))
	if err != nil {
		return fmt.Errorf("start the queue: %w", err)
	}
	return nil
}

// connect makes the clients that look at the system from outside.
func (d *demo) connect() (err error) {
	if d.consul, err = d.server.Client(); err != nil {
		return err
	}
	if d.fleet, err = fleet.New(fleet.Config{Addresses: []string{d.server.Addr()}}); err != nil {
		return err
	}
	db, err := discover.New("db")
	if err != nil {
		return err
	}
	d.store = store.NewDatabases(store.Places(db.All), func() string { return "" }, 2)
	return nil
}

// settings writes what the root modules need to know of this run.
func (d *demo) settings() error {
	for _, service := range services {
		settings := map[string]any{
			"programs":        d.place.in("bin"),
			"policy":          d.place.policy(),
			"consul_address":  d.consulAddr(),
			"state_directory": d.place.in("cells"),
			// A leader's Terraform finds the provider that was built here.
			"environment": map[string]string{"TF_CLI_CONFIG_FILE": d.place.cliConfig()},
		}
		switch {
		case service == "db":
			settings["data_directory"] = d.place.in("data")
		case service == "front":
			settings["port"] = d.frontPort
		case service == "api":
			settings["brokers"] = d.brokers
			settings["address"] = d.host
			// Slow on purpose, too: one answers forty searches a second.
			settings["workers"] = 4
			settings["search_cost"] = "100ms"
		case d.cloud != nil:
			settings = d.cloudSettings()
		default:
			settings["brokers"] = d.brokers
			settings["scope"] = d.web.scope
			// Slow on purpose, so that two cores feel the load of many crawlers:
			// one crawls five pages a second.
			settings["workers"] = 2
			settings["page_cost"] = "400ms"
		}
		if err := d.place.set(service, settings); err != nil {
			return err
		}
	}
	return nil
}

// up makes the services, as a person would.
func (d *demo) up(ctx context.Context) error {
	for _, service := range services {
		fmt.Printf("terraform apply: %s\n", service)
		d.made = append(d.made, service)
		if service == "crawler" && d.cloud != nil {
			return d.makeOnMachines(ctx)
		}
		if err := d.make(ctx, service); err != nil {
			return err
		}
	}
	return nil
}

// down removes everything: it tells the leaders to do nothing more, destroys
// the services, stops the servers, and makes sure that nothing is left. It goes
// on after a failure, so that as little as possible stays.
func (d *demo) down(ctx context.Context) error {
	var errs []error
	if len(d.made) > 0 {
		errs = append(errs, d.place.keepLogs(), d.homeostat(ctx, "pause"))
	}
	if d.cloud != nil {
		errs = append(errs, d.cloud.stopLeader())
	}
	for i := len(d.made) - 1; i >= 0; i-- {
		fmt.Printf("terraform destroy: %s\n", d.made[i])
		errs = append(errs, d.terraform(ctx, d.made[i], "destroy", "-auto-approve", "-lock-timeout=2m"))
	}
	if d.store != nil {
		d.store.Close()
	}
	if len(d.made) > 0 {
		errs = append(errs, d.nothingLeft(ctx))
	}
	if d.fleet != nil {
		d.fleet.Close()
	}
	if d.queue != nil {
		d.queue.Close()
	}
	if d.server != nil {
		errs = append(errs, d.server.Close())
	}
	if d.web != nil {
		errs = append(errs, d.web.close())
	}
	if d.cloud != nil {
		errs = append(errs, d.cloud.close(ctx, len(d.made) > 0))
	}
	return errors.Join(append(errs, testkit.Shutdown())...)
}

// forgetForeign keeps settings of the user's own shell for Consul and Terraform
// from reaching the demo's.
func forgetForeign() error {
	for _, setting := range os.Environ() {
		name, _, _ := strings.Cut(setting, "=")
		if strings.HasPrefix(name, "CONSUL_") || strings.HasPrefix(name, "TF_") || strings.HasPrefix(name, "HOMEOSTAT_") {
			if err := os.Unsetenv(name); err != nil {
				return fmt.Errorf("unset %s: %w", name, err)
			}
		}
	}
	return nil
}
