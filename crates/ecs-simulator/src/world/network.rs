//! The network of a region: three subnets of one VPC, and addresses handed out in order, so that no two
//! interfaces of a region share one and equal worlds have equal addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::ids::Ids;

/// A subnet of a region's VPC.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subnet {
    /// `subnet-…`.
    pub(crate) subnet_id: String,
    /// Its VPC.
    pub(crate) vpc_id: String,
    /// Such as `eu-central-1a`.
    pub(crate) availability_zone: String,
}

/// What hands out addresses and subnets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Network {
    subnets: Vec<Subnet>,
    block: u8,
    interfaces: u32,
}

impl Network {
    /// The `block`-th /12 of 10.0.0.0/8: room for 100,000 tasks, more than a real VPC's /16 gives. There are 16 of
    /// them; later regions of a world overlap with the first, as separate accounts do.
    pub(crate) fn new(region: &str, block: u8, ids: &mut Ids) -> Self {
        let vpc_id = format!("vpc-{}", ids.hex("vpc", 17));
        let subnets = ["a", "b", "c"]
            .iter()
            .map(|zone| Subnet {
                subnet_id: format!("subnet-{}", ids.hex("subnet", 17)),
                vpc_id: vpc_id.clone(),
                availability_zone: format!("{region}{zone}"),
            })
            .collect();
        Self { subnets, block: block % 16, interfaces: 0 }
    }

    /// A number for a new interface; everything about it follows from the number.
    pub(crate) fn interface(&mut self) -> u32 {
        self.interfaces += 1;
        self.interfaces
    }

    /// The subnet of an interface: one after the other.
    pub(crate) fn subnet(&self, interface: u32) -> &Subnet {
        &self.subnets[interface as usize % self.subnets.len()]
    }

    /// The IPv4 address of an interface; the first of a subnet are AWS's own.
    pub(crate) fn ipv4(&self, interface: u32) -> String {
        let base = u32::from(Ipv4Addr::new(10, self.block * 16, 0, 3));
        Ipv4Addr::from(base + interface % (1 << 20)).to_string()
    }

    /// The IPv6 address of an interface.
    pub(crate) fn ipv6(&self, interface: u32) -> String {
        let [high, low] = [(interface >> 16) as u16, interface as u16];
        Ipv6Addr::new(0x2600, 0x1f18, u16::from(self.block), 0x8a00, 0, 0, high, low).to_string()
    }

    /// The MAC address of an interface.
    pub(crate) fn mac(&self, interface: u32) -> String {
        let [a, b, c, d] = interface.to_be_bytes();
        format!("0a:{:02x}:{a:02x}:{b:02x}:{c:02x}:{d:02x}", self.block)
    }
}

/// The private DNS name that a region gives to an address.
pub(crate) fn private_dns_name(address: &str, region: &str) -> String {
    let host = address.replace('.', "-");
    match region {
        "us-east-1" => format!("ip-{host}.ec2.internal"),
        _ => format!("ip-{host}.{region}.compute.internal"),
    }
}
