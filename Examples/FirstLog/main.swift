import WAL

let log = try SegmentedLog.open(directory: "orders")
let lsn = try log.append("order 4711: two loaves".utf8)
try log.sync()

for record in log.iterFrom(lsn) {
    let order = try record.get()
    print(order.lsn, String(decoding: order.data, as: UTF8.self))
}
try log.close()
