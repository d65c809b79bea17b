// Command otelcol is an OpenTelemetry Collector with the few parts that tests need: it
// takes logs by OTLP, over gRPC and HTTP, and writes what it took to a file. It is a module
// of its own, so that nothing of it is built into Portcullis.
//
//	otelcol --config=FILE
package main

import (
	"fmt"
	"os"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
)

func main() {
	info := component.BuildInfo{Command: "otelcol", Description: "OpenTelemetry Collector of the testbed", Version: "0.165.0"}
	cmd := otelcol.NewCommand(otelcol.CollectorSettings{BuildInfo: info, Factories: parts, ConfigProviderSettings: otelcol.ConfigProviderSettings{
		ResolverSettings: confmap.ResolverSettings{ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory()}, DefaultScheme: "file"},
	}})
	if err := cmd.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// parts are what a configuration may name.
func parts() (f otelcol.Factories, err error) {
	f.Telemetry = quiet()
	if f.Receivers, err = otelcol.MakeFactoryMap[receiver.Factory](otlpreceiver.NewFactory()); err != nil {
		return f, err
	}
	f.Exporters, err = otelcol.MakeFactoryMap(lines())
	return f, err
}
