//! Extended attributes, access control lists among them.

use crate::acl::{self, Acl};
use crate::core::{Caller, Core, Reading};
use crate::errno;
use bytes::{BufMut, Bytes, BytesMut};
use fuser::{Errno, INodeNo};
use nokv_client::{Follow, SetAttributes, SetXattr, Target};
use nokv_types::{Class, Reason};

/// Flags of setxattr(2).
const CREATE: i32 = 1;
const REPLACE: i32 = 2;

impl Core {
    /// The value of an attribute of a node that is read; `None` when it has none.
    pub(crate) async fn attribute(
        &self,
        place: &Reading,
        name: &[u8],
    ) -> Result<Option<Bytes>, Errno> {
        match place.client.xattr(Target::Node(place.node), name).await {
            Ok(value) => Ok(Some(value)),
            Err(failure) if failure.class() == Class::NotFound => Ok(None),
            Err(failure) => Err(errno::of_failure(&failure)),
        }
    }

    /// Sets an attribute of a node, whether it had it or not.
    pub(crate) async fn put_attribute(
        &self,
        place: &Reading,
        name: &[u8],
        value: Bytes,
    ) -> Result<(), Errno> {
        self.change_attribute(place, name, SetXattr::Put(value))
            .await
    }

    async fn change_attribute(
        &self,
        place: &Reading,
        name: &[u8],
        change: SetXattr,
    ) -> Result<(), Errno> {
        let changed = place
            .client
            .set_xattr(Target::Node(place.node), name, change)
            .await;
        // `ENOENT` would mean the file.
        let node = match changed {
            Err(failure) if failure.reason() == Reason::NotFound => return Err(Errno::ENODATA),
            changed => self.changed_node(changed)?,
        };
        let number = self.number_of(place.age, &node);
        if let Some(file) = self.files.get(number.0) {
            file.attributes_set(&node, None);
        }
        Ok(())
    }

    /// getxattr(2). **Errors**: `ENODATA`.
    pub(crate) async fn get_xattr(&self, number: INodeNo, name: &[u8]) -> Result<Bytes, Errno> {
        let place = match self.reading(self.inode(number)?) {
            Ok(place) => place,
            Err(_) => return Err(Errno::ENODATA),
        };
        self.attribute(&place, name).await?.ok_or(Errno::ENODATA)
    }

    /// listxattr(2): names, each ended by a NUL.
    pub(crate) async fn list_xattrs(&self, number: INodeNo) -> Result<Bytes, Errno> {
        let Ok(place) = self.reading(self.inode(number)?) else {
            return Ok(Bytes::new());
        };
        let names = place
            .client
            .xattrs(Target::Node(place.node))
            .await
            .map_err(|failure| errno::of_failure(&failure))?;
        let mut list = BytesMut::new();
        for name in names {
            list.put(name);
            list.put_u8(0);
        }
        Ok(list.freeze())
    }

    /// setxattr(2). **Errors**: `EEXIST`, `ENODATA` by the flags; `EINVAL` for a list that is none.
    pub(crate) async fn set_xattr(
        &self,
        number: INodeNo,
        name: &[u8],
        value: &[u8],
        flags: i32,
        caller: Caller,
    ) -> Result<(), Errno> {
        let place = self.changing(number, caller)?;
        if name == acl::ACCESS {
            return self.set_access_list(&place, value).await;
        }
        if name == acl::DEFAULT && Acl::parse(value).is_none() {
            return Err(Errno::EINVAL);
        }
        let value = Bytes::copy_from_slice(value);
        let change = match flags {
            CREATE => SetXattr::Create(value),
            REPLACE => SetXattr::Replace(value),
            _ => SetXattr::Put(value),
        };
        self.change_attribute(&place, name, change).await
    }

    /// An access list is also a mode; one that says no more than the mode is not kept.
    async fn set_access_list(&self, place: &Reading, value: &[u8]) -> Result<(), Errno> {
        let acl = Acl::parse(value).ok_or(Errno::EINVAL)?;
        let target = Target::Node(place.node);
        let node = place
            .client
            .lookup(target, Follow::No)
            .await
            .map_err(|failure| errno::of_failure(&failure))?;
        let mode = acl.mode(node.attributes.mode);
        if mode != node.attributes.mode {
            let changes = SetAttributes {
                mode: Some(mode),
                ..SetAttributes::default()
            };
            self.amend(&place.client, &node, changes).await?;
        }
        if !acl.is_minimal() {
            return self.put_attribute(place, acl::ACCESS, acl.encode()).await;
        }
        self.drop_attribute(place, acl::ACCESS).await
    }

    async fn drop_attribute(&self, place: &Reading, name: &[u8]) -> Result<(), Errno> {
        match self.change_attribute(place, name, SetXattr::Remove).await {
            Err(error) if error.code() == Errno::ENODATA.code() => Ok(()),
            dropped => dropped,
        }
    }

    /// removexattr(2). **Errors**: `ENODATA`.
    pub(crate) async fn remove_xattr(
        &self,
        number: INodeNo,
        name: &[u8],
        caller: Caller,
    ) -> Result<(), Errno> {
        let place = self.changing(number, caller)?;
        if name == acl::ACCESS || name == acl::DEFAULT {
            return self.drop_attribute(&place, name).await;
        }
        self.change_attribute(&place, name, SetXattr::Remove).await
    }
}
