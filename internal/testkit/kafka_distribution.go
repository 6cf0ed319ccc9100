package testkit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

//go:embed kafka/pom.xml
var kafkaPOM []byte

// kafkaClusterID is the id all test clusters have, 16 bytes in base64. They are
// formatted once and copied, and never meet.
const kafkaClusterID = "aG9tZW9zdGF0LXRlc3RzMA"

// kafkaDistribution is an Apache Kafka in the cache.
type kafkaDistribution struct {
	javaBinary string
	jars       string // directory
	template   string // a formatted, empty data directory
}

// getKafka finds Apache Kafka in the cache or gets it there with Maven.
func getKafka(ctx context.Context) (kafkaDistribution, error) {
	javaBinary, err := exec.LookPath("java")
	if err != nil {
		return kafkaDistribution{}, fmt.Errorf("find Java 17 or later for Kafka: %w", err)
	}
	cache, err := CacheDirectory()
	if err != nil {
		return kafkaDistribution{}, err
	}
	dir, err := cached(ctx, cache, "kafka-"+digest(kafkaPOM, kafkaProperties), func(ctx context.Context, into string) error {
		return makeKafka(ctx, distributionIn(javaBinary, into), into)
	})
	if err != nil {
		return kafkaDistribution{}, fmt.Errorf("get Apache Kafka: %w", err)
	}
	return distributionIn(javaBinary, dir), nil
}

func distributionIn(javaBinary, dir string) kafkaDistribution {
	return kafkaDistribution{
		javaBinary: javaBinary,
		jars:       filepath.Join(dir, "jars"),
		template:   filepath.Join(dir, "template"),
	}
}

// makeKafka copies the jars and formats the template. Formatting costs a second
// of every start otherwise.
func makeKafka(ctx context.Context, d kafkaDistribution, into string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	pom := filepath.Join(into, "pom.xml")
	if err := os.WriteFile(pom, kafkaPOM, 0o644); err != nil {
		return err
	}
	err := run(ctx, into, nil, "mvn", "-q", "-B", "-f", pom,
		"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+d.jars)
	if err != nil {
		return err
	}
	format := &KafkaServer{port: 9092, controller: 9093, server: server{data: d.template}}
	configuration := filepath.Join(into, "format.properties")
	if err := os.WriteFile(configuration, format.properties(), 0o644); err != nil {
		return err
	}
	command := d.java("128m", "kafka.tools.StorageTool", "format", "--cluster-id", kafkaClusterID, "--config", configuration)
	if err := run(ctx, into, nil, command[0], command[1:]...); err != nil {
		return err
	}
	return errors.Join(os.Remove(configuration), os.Remove(pom))
}

// java is the command line that runs a class of the distribution.
func (d kafkaDistribution) java(heap, class string, args ...string) []string {
	return append([]string{
		d.javaBinary,
		"-Xmx" + heap, "-Xms64m",
		// Few threads and quick starts matter more here than throughput.
		"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		// Otherwise a JVM that is killed leaves a file in the temporary directory.
		"-XX:-UsePerfData",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-Dorg.slf4j.simpleLogger.showDateTime=true",
		"-cp", filepath.Join(d.jars, "*"),
		class,
	}, args...)
}

// KafkaDirectory returns the directory in the cache that holds Apache Kafka,
// and gets it there if need be.
func KafkaDirectory(ctx context.Context) (string, error) {
	d, err := getKafka(ctx)
	if err != nil {
		return "", err
	}
	return filepath.Dir(d.jars), nil
}
