// SPDX-License-Identifier: Apache-2.0

// The crate `spiffe` (tonic) as a client of our dev agent: prints one JSON line. Test peer only.
//
// usage: rustpeer unix:///path/agent.sock

use spiffe::WorkloadApiClient;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: rustpeer ADDRESS")?;
    let client = WorkloadApiClient::connect_to(&address).await?;
    let context = client.fetch_x509_context().await?;
    let ids: Vec<String> = context
        .svids()
        .iter()
        .map(|svid| format!("\"{}\"", svid.spiffe_id()))
        .collect();
    let bundles = client.fetch_x509_bundles().await?;
    println!("{{\"ids\": [{}], \"bundles\": {}}}", ids.join(", "), bundles.len());
    Ok(())
}
