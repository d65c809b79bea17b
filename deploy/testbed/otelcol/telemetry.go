package main

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/service/telemetry"
	"go.uber.org/zap"
)

// quiet has the collector log what goes wrong to standard error, and measure nothing of
// itself: the usual telemetry takes four times as long to build.
func quiet() telemetry.Factory {
	return telemetry.NewFactory(func() component.Config { return new(struct{}) }, telemetry.WithCreateLogger(
		func(context.Context, telemetry.LoggerSettings, component.Config) (*zap.Logger, component.ShutdownFunc, error) {
			cfg := zap.NewProductionConfig()
			cfg.OutputPaths = []string{"stderr"}
			logger, err := cfg.Build()
			return logger, nil, err
		}))
}
