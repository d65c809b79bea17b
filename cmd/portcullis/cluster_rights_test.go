package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	fixture "github.com/portcullis/portcullis/fixtures/broker"
)

// rights are what docs/kafka.md says that the user needs, by the kind of resource.
var rights = map[kafkago.ResourceType][]kafkago.ACLOperationType{
	kafkago.ResourceTypeTopic: {kafkago.ACLOperationTypeRead, kafkago.ACLOperationTypeWrite, kafkago.ACLOperationTypeDescribe,
		kafkago.ACLOperationTypeDescribeConfigs, kafkago.ACLOperationTypeCreate},
	kafkago.ResourceTypeGroup: {kafkago.ACLOperationTypeRead},
}

// warden gives rights to the user "reader", and takes them.
type warden struct {
	t      *testing.T
	client *kafkago.Client
	prefix string
}

func (w warden) grant() {
	w.t.Helper()
	var list []kafkago.ACLEntry
	for kind, operations := range rights {
		for _, o := range operations {
			list = append(list, kafkago.ACLEntry{ResourceType: kind, ResourceName: w.prefix + ".", ResourcePatternType: kafkago.PatternTypePrefixed,
				Principal: "User:reader", Host: "*", Operation: o, PermissionType: kafkago.ACLPermissionTypeAllow})
		}
	}
	answer, err := w.client.CreateACLs(w.t.Context(), &kafkago.CreateACLsRequest{ACLs: list})
	if err == nil {
		err = errors.Join(answer.Errors...)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w warden) revoke() {
	w.t.Helper()
	answer, err := w.client.DeleteACLs(w.t.Context(), &kafkago.DeleteACLsRequest{Filters: []kafkago.DeleteACLsFilter{{
		ResourceTypeFilter: kafkago.ResourceTypeAny, ResourcePatternTypeFilter: kafkago.PatternTypeAny, PrincipalFilter: "User:reader",
		HostFilter: "*", Operation: kafkago.ACLOperationTypeAny, PermissionType: kafkago.ACLPermissionTypeAny}}})
	if err == nil {
		err = answer.Results[0].Error
	}
	if err != nil || len(answer.Results[0].MatchingACLs) != 6 {
		w.t.Fatalf("the rights cannot be taken: %v, %+v", err, answer)
	}
}

// startStrict starts a Kafka where whoever logs in needs rights.
func startStrict(t *testing.T) *fixture.Broker {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Kafka of its own: leave out -short")
	}
	dir := t.TempDir()
	b, err := fixture.New(dir)
	if errors.Is(err, fixture.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED, Kafka is missing: %v: apt-get install default-jre-headless maven && deploy/testbed/kafka.sh fetch", err)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "acls"), nil, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestE2EClusterRights: a user without rights is told which, and how to give them; one
// that loses them in the middle of the work goes on when he has them again, and nothing
// is lost. The rights that the documents name suffice.
func TestE2EClusterRights(t *testing.T) {
	t.Parallel()
	b := startStrict(t)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("reader-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newScaled(t, b.SASL()+fmt.Sprintf(";, sasl: {mechanism: scram-sha-512, user: reader, password_file: %s}", password), 2, 3, "")
	w := warden{t, &kafkago.Client{Addr: kafkago.TCP(b.Plain()), Timeout: 20 * time.Second, Transport: &kafkago.Transport{}}, s.prefix}
	t.Cleanup(w.client.Transport.(*kafkago.Transport).CloseIdleConnections)

	for _, role := range []string{"collect", "detect-1", "enforce"} {
		m := s.members[role]
		m.start()
		m.ends(`user "reader" may not make it (let somebody who may run: kafka-topics.sh`)
	}
	w.grant()
	s.work()
	w.revoke()
	collect := s.members["collect"]
	await(t, "nothing is written any more", collect.said.String, func() bool {
		s.append([]byte("no line of any format\n")) // there is something to send
		return strings.Contains(collect.said.String(), "has no right to topic")
	})
	detectors := func() string { return s.members["detect-1"].said.String() + s.members["detect-2"].said.String() }
	await(t, "the detectors say it", detectors, func() bool {
		return strings.Contains(detectors(), "has no right to topic") || strings.Contains(detectors(), "may not use consumer groups")
	})
	if !strings.Contains(collect.said.String(), "kafka-acls.sh --add --allow-principal User:reader") {
		t.Errorf("the collector does not say how to mend it: %s", tail(collect.said.String(), 2000))
	}
	w.grant()
	s.write()
	s.write()
	s.awaitWhole(s.members["enforce"], s.lines, s.end)
	s.sameFindings(s.members["enforce"])
}
