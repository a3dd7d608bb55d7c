package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/services/internal/config"
	"github.com/countersign-escrow/countersign/services/internal/instance"
)

func newBucket() *cobra.Command {
	return group("bucket", "Prepare the bucket of a service that keeps its objects in S3", newBucketCreate())
}

func newBucketCreate() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "create --config FILE",
		Short: "Make the bucket, with object lock",
		Long: `Create makes the bucket that the configuration names, with object lock, which cannot be turned on later. A bucket that is
there already is only looked at. The access key needs the right to make buckets for this, and not afterwards.`,
		Example: `  escrowd bucket create --config /etc/countersign/escrowd.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Read(file)
			if err != nil {
				return err
			}
			name, err := instance.CreateBucket(cmd.Context(), c)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "BUCKET %s\n", name)
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file")
	require(cmd, "config")
	return cmd
}
