package policy

import "slices"

// spool checks the spool of a service.
func (d *decoder) spool(s *Service, kafka *Kafka) {
	p := s.Spool
	if p == nil {
		return
	}
	if kafka == nil {
		d.add("No queue", d.at(p), "service %q has a spool, but the policy has no block kafka to send its messages to. "+
			`Add kafka { brokers = ["host:9092"] } at the top of the file.`, s.Name)
	}
	for i, topic := range p.Topics {
		if !topicName.MatchString(topic) || topic == "." || topic == ".." {
			d.refuse("Not a topic's name", &p.Topics, "names %q, which can't be a topic. Use %s.", topic, topicName.words)
		}
		if slices.Contains(p.Topics[:i], topic) {
			d.refuse("Twice the same", &p.Topics, "names %q twice. Remove one.", topic)
		}
	}
	if len(p.Topics) == 0 && d.sound(&p.Topics) {
		d.refuse("Empty value", &p.Topics, "must name at least one topic.")
	}
	if d.sound(&p.Spread, &p.Hold) && p.Spread > p.Hold/2 {
		d.add("Durations the wrong way round", d.at(&p.Spread, &p.Hold), "%s is %s%s and must not be above half of hold, which is %s%s: "+
			"messages would wait for longer than that.", d.names[&p.Spread], short(p.Spread), d.unsaid(&p.Spread), short(p.Hold), d.unsaid(&p.Hold))
	}
	d.fits(&p.SegmentBytes, &p.MaxBytes, 4)
	d.fits(&p.MaxMessageBytes, &p.MaxRequestBytes, 1)
}

// fits refuses a size of which another doesn't hold so many.
func (d *decoder) fits(small, large *int, times int) {
	if d.sound(small, large) && *small > *large/times {
		d.add("Sizes the wrong way round", d.at(small, large), "%s is %d%s; %s, which is %d%s, must be at least %d.",
			d.names[small], *small, d.unsaid(small), d.names[large], *large, d.unsaid(large), times**small)
	}
}

// completeSpool makes what wasn't written fit what was.
func completeSpool(d *decoder, p *Spool) {
	if !d.written(&p.Spread) {
		p.Spread = min(p.Spread, p.Hold/2)
	}
	if !d.written(&p.SegmentBytes) {
		p.SegmentBytes = min(p.SegmentBytes, p.MaxBytes/4)
	}
}
