import ArgumentParser

/// What a command that takes `--archive` has to be told of an S3-compatible store. The rest is in `WALSHIPD_S3_…`, keys in `AWS_…`.
struct S3Options: ParsableArguments {
    @Option(help: ArgumentHelp("For s3://: the server, http(s)://host[:port]. Overrides s3.endpoint; default: AWS.", valueName: "url"))
    var endpoint: String?

    @Option(help: ArgumentHelp("For s3://: the bucket's region. Overrides s3.region.", valueName: "region"))
    var region: String?

    var flags: [SettingKey: String] {
        let given: [SettingKey: String?] = [.s3Endpoint: endpoint, .s3Region: region]
        return given.compactMapValues { $0 }
    }
}
