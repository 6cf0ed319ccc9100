package policy

import (
	"path/filepath"
	"time"
)

// check finds what is wrong though each value by itself is not.
func check(d *decoder, p *Policy) {
	d.consul(&p.Consul)
	if p.Kafka != nil {
		d.kafka(p.Kafka)
	}
	if _, err := ParseStore(p.Bundle); err != nil {
		d.refuse("Not a store", &p.Bundle, "%s.", err)
	}
	d.tellApart(p)
	d.graph(p)
	for _, s := range p.Services {
		d.service(s)
		d.spool(s, p.Kafka)
		if s.Genome != "" && p.Bundle == "" {
			d.refuse("No store", &s.Genome, "is %q, but the policy doesn't say where bundles are stored. "+
				`Add bundle = "bundles" at the top of the file.`, s.Genome)
		}
		if s.KafkaLag != nil && p.Kafka == nil {
			d.add("No queue", d.at(s.KafkaLag), "service %q is scaled by kafka_lag, but the policy has no block kafka. "+
				`Add kafka { brokers = ["host:9092"] } at the top of the file.`, s.Name)
		}
	}
}

// tellApart checks that services can be told apart, by name and by root module.
func (d *decoder) tellApart(p *Policy) {
	names, dirs := map[string]*Service{}, map[string]*Service{}
	for _, s := range p.Services {
		if !serviceName.MatchString(s.Name) {
			d.add("Not a service's name", d.at(&s.Name), "%q can't name a service: cells, host names and Consul's services are "+
				"called after it. Use at most 48 of a-z, 0-9 and -, with a letter first and no - at the end.", s.Name)
		}
		if first := names[s.Name]; first != nil {
			d.add("Two services of one name", d.at(&s.Name), "There is a service %q already, at line %d. Rename or remove one of them.",
				s.Name, d.at(&first.Name).Start.Line)
			continue
		}
		names[s.Name] = s
		if s.Terraform.Dir == "" {
			continue
		}
		dir := filepath.Clean(s.Terraform.Dir)
		if first := dirs[dir]; first != nil {
			d.refuse("Two services in one root module", &s.Terraform.Dir, "is the root module of service %q too, at line %d: "+
				"they would overwrite each other's variable file. Give each service a root module of its own.",
				first.Name, d.at(&first.Terraform.Dir).Start.Line)
			continue
		}
		dirs[dir] = s
	}
}

// service checks one service by itself.
func (d *decoder) service(s *Service) {
	d.terraform(&s.Terraform)
	d.signals(s)
	d.metrics(&s.Metrics)
	d.health(&s.Health)
	d.path(&s.Drain.Path)
	d.drainCommand(&s.Drain)
	d.numbers(s)
	d.postgres(s)
	d.schedules(s)
	if s.Front != nil {
		d.front(s.Front)
	}
	d.proxy(s)
}

// numbers checks those of a service's numbers against each other that decide on
// its count and its orders.
func (d *decoder) numbers(s *Service) {
	d.bounds(s)
	d.inOrder(&s.Birth.Time, &s.Birth.Timeout)
	d.inOrder(&s.Birth.BackoffMin, &s.Birth.BackoffMax)
	d.inOrder(&s.PlanAhead.Pause, &s.PlanAhead.PauseMax)
	if s.Drain.Path != "" {
		d.inOrder(&s.Drain.Timeout, &s.Terraform.Timeout)
	}
	d.law(s)
}

// drainCommand checks what is run before a cell leaves.
func (d *decoder) drainCommand(drain *Drain) {
	if d.written(&drain.Command) && (len(drain.Command) == 0 || drain.Command[0] == "") {
		d.refuse("Empty value", &drain.Command, `must name a program, as in ["move-rows", "--all"]. Leave the line out for none.`)
	}
}

// bounds checks the bounds of the count and of the busy share.
func (d *decoder) bounds(s *Service) {
	if d.sound(&s.Min, &s.Max) && s.Min > s.Max {
		d.refuse("Bounds the wrong way round", &s.Min, "is %d, above max, which is %d. Lower min or raise max.", s.Min, s.Max)
	}
	u := &s.Utilization
	if d.sound(&u.Lower, &u.Upper) && u.Lower >= u.Upper {
		d.add("Bounds the wrong way round", d.at(&u.Lower, &u.Upper), "%s is %g and must be below upper, which is %g%s.",
			d.names[&u.Lower], u.Lower, u.Upper, d.unsaid(&u.Upper))
	}
	if s.HoldsData && d.sound(&s.Min, &s.Max, &s.Drain.Path) && s.Max > s.Min && s.Drain.Path == "" && len(s.Drain.Command) == 0 {
		d.add("Data without a drain", d.at(&s.HoldsData), "service %q holds data and may have %d to %d cells, but no cell "+
			"that holds data is removed for load before it has been drained. Write drain { command = [\"move-rows\"] } or drain { path = \"/drain\" }, or make max equal min.",
			s.Name, s.Min, s.Max)
	}
}

// signals checks what the load is read from.
func (d *decoder) signals(s *Service) {
	if k := s.KafkaLag; k != nil {
		d.match(&k.Topic, topicName)
		d.fallback(&k.OnUnknown, s)
		if s.Requests != nil {
			d.add("Two sources of load", d.at(s.Requests), "service %q has kafka_lag and requests. Its load is either what comes "+
				"through the queue or what it is asked directly: keep one, or make it two services.", s.Name)
		}
	}
	if r := s.Requests; r != nil {
		d.match(&r.Arrived, metricName)
		d.match(&r.Refused, metricName)
	}
	if l := s.Latency; l != nil {
		if l.Histogram == "" && s.Proxy == nil {
			d.add("Missing value", d.at(&l.Histogram, l), "There is no histogram in %s. Name the application's own, or add a block "+
				"proxy to the service, which measures what its clients see.", d.names[l])
		}
		d.match(&l.Histogram, metricName)
		d.keys(&l.Labels, l.Labels, labelName)
		d.fallback(&l.OnUnknown, s)
	}
}

func (d *decoder) fallback(f *Fallback, s *Service) {
	if f.Kind == FallbackNumber && d.sound(f, &s.Min, &s.Max) && (f.Number < s.Min || f.Number > s.Max) {
		d.refuse("Out of bounds", f, "is %d, and service %q may have %d to %d cells. Name a number between them.",
			f.Number, s.Name, s.Min, s.Max)
	}
}

func (d *decoder) metrics(m *Metrics) {
	d.path(&m.Path)
	d.match(&m.Busy, metricName)
	d.match(&m.InFlight, metricName)
}

func (d *decoder) health(h *Health) {
	d.path(&h.HTTP)
	if h.HTTP != "" && h.TCP {
		d.refuse("Two kinds of check", &h.TCP, "is true, but http is set too and says more. Remove one of them.")
	}
	if d.sound(&h.Interval, &h.Timeout, &h.TTL) && h.TTL <= h.Interval+h.Timeout {
		d.add("TTL too short", d.at(&h.TTL, &h.Interval, &h.Timeout), "%s is %s%s, but a check takes up to interval + timeout, "+
			"%s: healthy cells would be called critical. Raise ttl, to three times that for a push that may get lost.",
			d.names[&h.TTL], short(h.TTL), d.unsaid(&h.TTL), short(h.Interval+h.Timeout))
	}
}

// inOrder refuses a duration that is above one which must not be below it.
func (d *decoder) inOrder(low, high *time.Duration) {
	if d.sound(low, high) && *low > *high {
		d.add("Durations the wrong way round", d.at(low, high), "%s is %s%s and must not be above %s, which is %s%s.",
			d.names[low], short(*low), d.unsaid(low), d.names[high], short(*high), d.unsaid(high))
	}
}

// unsaid adds to a value that it is a default, which the reader won't find in
// their file.
func (d *decoder) unsaid(ptr any) string {
	if d.written(ptr) {
		return ""
	}
	return " (the default)"
}
