import WAL

let log = try SegmentedLog.open(directory: "orders")
let lsn = try log.append("order 4711: two loaves".utf8)

var batch = RecordBatch()
batch.append("order 4712: a cake".utf8)
batch.append("order 4712: six candles".utf8)
try log.append(batch: batch)  // after a crash: both or none
try log.sync()

for record in log.iterFrom(lsn) {
    let order = try record.get()
    print(order.lsn, String(decoding: order.data, as: UTF8.self))
}
try log.close()
