package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/localstack/ec2"
)

// watcher keeps machines as the API says. It ends one only when the API says of
// that very instance that it is to be off or gone. An API that doesn't answer says
// nothing, and so does one that has forgotten an instance.
type watcher struct {
	place *place
	api   *ec2.Client
	root  string // the file system below all machines
	grace time.Duration
	log   *slog.Logger

	mu   sync.Mutex
	busy map[string]bool   // machines at which something is being done
	said map[string]string // what was told last, by what it is about

	work sync.WaitGroup
}

// run goes on until ctx ends. The machines stay.
func (w *watcher) run(ctx context.Context, beat time.Duration) {
	w.log.Info("watching", "api", w.api.Endpoint, "network", w.place.Prefix, "folder", w.place.root)
	defer w.work.Wait()
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		w.look(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look looks once and begins what is to be done.
func (w *watcher) look(ctx context.Context) {
	// What is being done now may change what the answer says of it.
	w.mu.Lock()
	busy := maps.Clone(w.busy)
	w.mu.Unlock()
	made, err := w.place.connect(ctx)
	w.tell("switch", "the machines have no network", err)
	if err != nil {
		return
	}
	if made {
		w.log.Info("made a switch", "host", w.place.host())
	}
	instances, err := w.api.Instances(ctx)
	if ctx.Err() != nil {
		return
	}
	w.tell("api", "the API says nothing: all machines stay as they are", err)
	if err != nil {
		return
	}
	known := map[string]bool{}
	for _, i := range instances {
		known[i.ID] = true
		if !busy[i.ID] {
			w.begin(ctx, i)
		}
	}
	w.unknown(known)
}

// unknown tells of machines whose instance the API doesn't know.
func (w *watcher) unknown(known map[string]bool) {
	all, err := w.place.boxes()
	if err != nil {
		w.tell("folder", "machines can't be listed", err)
		return
	}
	for _, b := range all {
		var err error
		if !known[b.id] {
			err = fmt.Errorf("end it with: machines -dir %s end %s", w.place.root, b.id)
		}
		w.tell(b.id+" unknown", "the API doesn't know the instance: its machine stays as it is", err)
	}
}

// begin finds out what is to be done for an instance, and has it done beside the
// others.
func (w *watcher) begin(ctx context.Context, i ec2.Instance) {
	b, act, err := w.judge(i)
	w.tell(i.ID, "the machine can't be kept as the API says", err)
	if err != nil || act == nil {
		return
	}
	w.mu.Lock()
	w.busy[i.ID] = true
	w.mu.Unlock()
	w.work.Go(func() {
		err := act(ctx, b, i)
		if ctx.Err() == nil {
			w.tell(i.ID+" act", "the machine can't be kept as the API says", err)
		}
		w.mu.Lock()
		delete(w.busy, i.ID)
		w.mu.Unlock()
	})
}

// action does what a machine lacks to be as the API says.
type action func(context.Context, *box, ec2.Instance) error

// judge says which one it is, if any.
func (w *watcher) judge(i ec2.Instance) (*box, action, error) {
	b, err := w.place.box(i.ID)
	if err != nil {
		return nil, nil, err
	}
	if !b.there() && i.State != "pending" && i.State != "running" {
		return b, nil, nil
	}
	on, err := b.on()
	if err != nil {
		return nil, nil, err
	}
	code, ended, err := b.ended()
	if err != nil {
		return nil, nil, err
	}
	switch i.State {
	case "pending", "running":
		switch {
		case on:
			return b, nil, nil
		case ended && code == 0:
			return b, w.report, nil
		}
		return b, w.boot, w.mayBoot(b, i)
	case "stopping", "stopped":
		if on || ended {
			return b, w.stop, nil
		}
	case "shutting-down", "terminated":
		return b, w.remove, nil
	}
	return b, nil, nil
}

// mayBoot says why an instance's machine can't be booted.
func (w *watcher) mayBoot(b *box, i ec2.Instance) error {
	if err := b.failed(); err != nil {
		return err
	}
	address, err := netip.ParseAddr(i.Address)
	if err != nil {
		return fmt.Errorf("read its private address: %w", err)
	}
	if !w.place.Prefix.Contains(address) || address == w.place.host() || address == w.place.Prefix.Addr() {
		return fmt.Errorf("its address %s is none for machines in %s, in which %s is this host", address, w.place.Prefix, w.place.host())
	}
	all, err := w.place.boxes()
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.id == b.id || other.address != address {
			continue
		}
		if on, err := other.on(); err != nil || on {
			return fmt.Errorf("machine %s has its address %s, and is on: end that first", other.id, address)
		}
	}
	return nil
}

func (w *watcher) boot(ctx context.Context, b *box, i ec2.Instance) error {
	data, err := w.api.UserData(ctx, i.ID)
	if err != nil {
		return err
	}
	if err := b.boot(ctx, w.root, i, data); err != nil {
		return err
	}
	w.log.Info("booting", "instance", i.ID, "address", i.Address)
	return nil
}

// report tells the API that a machine has switched itself off.
func (w *watcher) report(ctx context.Context, b *box, i ec2.Instance) error {
	action, err := w.api.ShutDown(ctx, i.ID)
	if err != nil {
		return err
	}
	w.log.Info("switched itself off", "instance", i.ID, "then", action)
	return b.forgetEnd()
}

func (w *watcher) stop(ctx context.Context, b *box, i ec2.Instance) error {
	if err := b.powerOff(ctx, w.grace); err != nil {
		return err
	}
	w.log.Info("stopped", "instance", i.ID)
	return b.forgetEnd()
}

func (w *watcher) remove(ctx context.Context, b *box, i ec2.Instance) error {
	if err := b.powerOff(ctx, w.grace); err != nil {
		return err
	}
	w.log.Info("terminated", "instance", i.ID)
	return b.remove()
}

// tell tells of something that isn't as it should be, once, and when it is over.
func (w *watcher) tell(about, what string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	w.mu.Lock()
	before := w.said[about]
	w.said[about] = text
	if text == "" {
		delete(w.said, about)
	}
	w.mu.Unlock()
	switch {
	case text == before:
	case text == "":
		w.log.Info("no longer: "+what, "about", about)
	default:
		w.log.Warn(what, "about", about, "because", text)
	}
}
